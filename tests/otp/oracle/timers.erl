%% Rule 22: timers.
-module(timers).
-compile([export_all, nowarn_export_all]).
-import(oracle, [say/1, say/2, next/0, ready/0, nothing/0, await_end/1, idle/0, settle/0, dead/0]).

%% What cancelling a timer tells.
cancel(Timer) ->
    case erlang:cancel_timer(Timer) of
        false -> say("it is gone");
        Left when Left > 0 -> say("time was left");
        0 -> say("no time was left")
    end.

otp_22_a_cancelled_timer_had_time_left_and_never_fires() ->
    Timer = erlang:send_after(100, self(), message),
    cancel(Timer),
    cancel(Timer),
    timer:sleep(150),
    nothing().

otp_22_a_timer_that_has_fired_is_gone_and_its_message_there() ->
    Timer = erlang:send_after(20, self(), message),
    timer:sleep(60),
    cancel(Timer),
    say(next()),
    nothing().

otp_22_a_timer_cancelled_at_its_moment_has_fired_or_never_will() ->
    Timer = erlang:send_after(50, self(), message),
    timer:sleep(50),
    cancel(Timer),
    settle(),
    nothing().

otp_22_timers_of_one_moment_fire_in_any_order() ->
    erlang:send_after(50, self(), one),
    erlang:send_after(50, self(), two),
    say(next()),
    say(next()).

otp_22_timers_fire_in_the_order_of_their_times() ->
    erlang:send_after(100, self(), two),
    erlang:send_after(20, self(), one),
    say(next()),
    say(next()).

otp_22_a_timer_dies_with_the_process_that_it_is_for() ->
    Child = spawn(fun oracle:idle/0),
    Timer = erlang:send_after(100, Child, message),
    exit(Child, kill),
    await_end(Child),
    settle(),
    cancel(Timer).

otp_22_a_timer_outlives_the_process_that_has_set_it() ->
    Me = self(),
    await_end(spawn(fun() -> erlang:send_after(50, Me, message) end)),
    say(next()).

otp_22_a_timer_to_a_dead_process_is_gone() ->
    cancel(erlang:send_after(100, dead(), message)).

otp_22_a_timer_to_a_name_looks_it_up_when_it_fires() ->
    Me = self(),
    Holder = fun(Word) -> fun() ->
        register(timers_name, self()),
        Me ! ready,
        receive message -> say(Word) end,
        Me ! ready
    end end,
    First = spawn(Holder("the first has it")),
    ready(),
    erlang:send_after(100, timers_name, message),
    exit(First, kill),
    await_end(First),
    spawn(Holder("the second has it")),
    ready(),
    ready().

otp_22_a_timer_to_a_name_that_nobody_has_is_no_error() ->
    Timer = erlang:send_after(20, timers_nobody, message),
    timer:sleep(60),
    cancel(Timer).

otp_22_another_process_may_cancel_a_timer() ->
    Timer = erlang:send_after(100, self(), message),
    await_end(spawn(fun() -> cancel(Timer) end)),
    timer:sleep(150),
    nothing().

otp_22_a_wait_with_a_timeout_takes_what_comes_before_it() ->
    erlang:send_after(20, self(), message),
    receive Word -> say("~s", [Word]) after 100 -> say("nothing") end,
    erlang:send_after(100, self(), message),
    receive Early -> say("~s", [Early]) after 20 -> say("nothing") end,
    say(next()).

otp_22_a_message_at_the_moment_of_the_timeout_is_taken_or_comes_later() ->
    erlang:send_after(50, self(), message),
    receive Word -> say("~s", [Word]) after 50 -> say("nothing"), say(next()) end.
