%% Rules 12 and 13: gen_statem.
-module(statems).
-compile([export_all, nowarn_export_all]).
-import(oracle, [say/1, say/2, next/0, ready/0, end_of/1, settle/0]).
-import(machine, [insert/1, state_timeout/1, event_timeout/1, timeout/2, cancel_state_timeout/0, cancel_timeout/1]).

%% Tells a machine all of this at once, and waits until it is done.
tell(Machine, All) ->
    [gen_statem:cast(Machine, What) || What <- [{work, 50} | All]],
    timer:sleep(300).

otp_12_enter_call_then_inserted_then_postponed_then_timeouts_of_zero_then_the_mailbox() ->
    Actions = [insert(x), insert(y), state_timeout(0), timeout(n, 0)],
    tell(machine:start([]), [{for_c, one}, {for_c, two}, {go, c, Actions}, {say, mailbox}]).

otp_12_the_first_state_is_entered_before_what_init_inserts() ->
    tell(machine:start([insert(x), state_timeout(0), timeout(n, 0)]), [{say, mailbox}]).

otp_12_timeouts_of_zero_come_in_the_order_in_which_they_are_set() ->
    Machine = machine:start([]),
    tell(Machine, [{keep, [state_timeout(0), timeout(n, 0), timeout(m, 0)]}, {say, mailbox}]),
    tell(Machine, [{keep, [timeout(m, 0), timeout(n, 0), state_timeout(0)]}, {say, mailbox}]).

otp_12_what_is_inserted_comes_before_what_waits() ->
    tell(machine:start([]), [{keep, [insert(x), insert(y)]}, {say, one}, {keep, [insert(z)]}, {say, two}]).

otp_12_what_is_inserted_comes_before_what_was_postponed() ->
    tell(machine:start([]), [{for_c, one}, {go, c, [insert(x)]}]).

otp_12_an_event_timeout_of_zero_comes_before_the_mailbox() ->
    tell(machine:start([]), [{keep, [event_timeout(0)]}, {say, mailbox}]).

otp_12_an_event_timeout_of_zero_is_cancelled_by_an_inserted_event() ->
    tell(machine:start([]), [{keep, [event_timeout(0), insert(x)]}, {say, mailbox}]).

otp_12_an_event_timeout_of_zero_is_cancelled_by_a_postponed_event() ->
    tell(machine:start([]), [{for_c, one}, {go, c, [event_timeout(0)]}, {say, mailbox}]).

otp_12_an_event_timeout_of_zero_and_another_timeout_of_zero() ->
    Machine = machine:start([]),
    tell(Machine, [{keep, [event_timeout(0), state_timeout(0)]}, {say, mailbox}]),
    tell(Machine, [{keep, [state_timeout(0), event_timeout(0)]}, {say, mailbox}]).

otp_12_an_event_timeout_comes_where_nothing_else_does() ->
    tell(machine:start([]), [{keep, [event_timeout(30)]}]).

otp_12_an_event_timeout_is_cancelled_by_any_event() ->
    Machine = machine:start([]),
    tell(Machine, [{keep, [event_timeout(100)]}, {say, message}]),
    tell(Machine, [{keep, [event_timeout(100), insert(x)]}]),
    tell(Machine, [{keep, [event_timeout(100), state_timeout(30)]}]).

otp_12_what_is_postponed_again_keeps_its_order() ->
    tell(machine:start([]), [{for_c, one}, {for_c, two}, {go, b, []}, {for_c, three}, {go, c, []}]).

otp_12_what_is_postponed_comes_before_the_mailbox() ->
    tell(machine:start([]), [{for_c, one}, {go, c, []}, {for_c, two}]).

otp_12_a_call_that_is_postponed_is_answered_in_the_state_that_takes_it() ->
    Me = self(),
    Machine = machine:start([]),
    spawn(fun() -> say("answer ~p", [gen_statem:call(Machine, get)]), Me ! ready end),
    settle(),
    gen_statem:cast(Machine, {go, c, []}),
    ready().

otp_13_the_same_state_again_is_no_change() ->
    tell(machine:start([]), [{for_c, one}, {go, a, []}, {say, mailbox}, {go, c, []}]).

otp_13_a_state_that_is_repeated_is_entered_and_postponed_events_stay() ->
    tell(machine:start([]), [{for_c, one}, {repeat, [insert(x)]}, {say, mailbox}, {go, c, []}]).

otp_13_a_change_of_state_cancels_the_state_timeout_and_no_other() ->
    tell(machine:start([]), [{keep, [state_timeout(60), timeout(n, 60)]}, {go, b, []}]).

otp_13_the_same_state_again_leaves_the_state_timeout_alone() ->
    Machine = machine:start([]),
    tell(Machine, [{keep, [state_timeout(60)]}, {go, a, []}]),
    tell(Machine, [{keep, [state_timeout(60)]}, {repeat, []}]).

otp_13_a_state_timeout_that_comes_with_a_change_is_of_the_new_state() ->
    tell(machine:start([]), [{keep, [state_timeout(60)]}, {go, b, [state_timeout(100)]}]).

otp_13_a_timeout_that_is_set_again_begins_anew() ->
    tell(machine:start([]), [{keep, [timeout(n, 50), timeout(m, 100)]}, {keep, [timeout(n, 150)]}]).

otp_13_timeouts_can_be_cancelled() ->
    Set = {keep, [state_timeout(60), timeout(n, 60), timeout(m, 60)]},
    tell(machine:start([]), [Set, {keep, [cancel_state_timeout(), cancel_timeout(n)]}]).

otp_12_a_timeout_of_zero_comes_after_what_is_tried_again() ->
    tell(machine:start([]), [{for_c, one}, {go, b, [state_timeout(0), insert(x)]}, {go, c, []}]).

otp_09_terminate_of_a_state_machine_sees_its_state() ->
    [begin
        {ok, Machine} = gen_statem:start(machine, [], []),
        Monitor = monitor(process, Machine),
        gen_statem:cast(Machine, {go, b, []}),
        gen_statem:cast(Machine, End),
        say("down ~s", [end_of(Monitor)])
    end || End <- [{stop, normal}, {stop, boom}]].

otp_09_a_state_machine_ends_with_its_parent() ->
    process_flag(trap_exit, true),
    Machine = machine:start_link([]),
    gen_statem:cast(Machine, {go, b, []}),
    exit(Machine, shutdown),
    say(next()).
