%% Rules 8 to 11: gen_server.
-module(servers).
-compile([export_all, nowarn_export_all]).
-import(oracle, [say/1, say/2, reason/1, end_of/1, next/0, ready/0, nothing/0, settle/0, dead/0]).

%% The answer of a call, or why there is none.
call(Server, Question) -> call(Server, Question, 1000).
call(Server, Question, Timeout) ->
    try gen_server:call(Server, Question, Timeout) of
        Answer -> say("answer ~p", [Answer])
    catch
        exit:{Why, {gen_server, call, _}} -> say("no answer: ~s", [reason(Why)])
    end.

%% A probe that is monitored and not linked.
start(Plan) ->
    {ok, Server} = probe:start(Plan),
    {Server, monitor(process, Server)}.

otp_08_a_late_answer_is_dropped() ->
    {Server, _} = start(#{}),
    call(Server, {'after', 100}, 20),
    call(Server, get),
    nothing().

otp_08_an_answer_at_the_moment_of_the_timeout_counts_or_is_dropped() ->
    {Server, _} = start(#{}),
    call(Server, {'after', 50}, 50),
    settle(),
    nothing().

otp_08_a_call_to_nobody_ends_in_noproc() ->
    call(dead(), get),
    call(servers_nobody, get).

otp_08_a_call_ends_with_the_servers_exit_reason() ->
    [begin
        {Server, _} = start(#{}),
        call(Server, {stop, Reason})
    end || Reason <- [normal, shutdown, {shutdown, early}, boom]],
    {Killed, _} = start(#{}),
    spawn(fun() -> settle(), exit(Killed, kill) end),
    call(Killed, ignore).

otp_08_an_answer_before_the_servers_end_counts() ->
    {Server, Monitor} = start(#{}),
    call(Server, {answer_and_stop, boom}),
    say("down ~s", [end_of(Monitor)]).

otp_08_any_process_may_answer() ->
    Third = spawn(fun() -> receive {question, From} -> gen_server:reply(From, 42) end end),
    {Server, _} = start(#{}),
    call(Server, {pass_to, Third}),
    nothing().

otp_08_an_answer_of_a_third_process_after_the_servers_end_is_dropped() ->
    Me = self(),
    {Server, _} = start(#{}),
    spawn(fun() -> call(Server, {pass_to, Me}), Me ! ready, nothing(), Me ! ready end),
    receive {question, From} -> exit(Server, shutdown) end,
    ready(),
    gen_server:reply(From, 42),
    ready().

otp_08_a_server_that_calls_itself_is_told_so() ->
    {Server, _} = start(#{}),
    call(Server, call_yourself),
    call(Server, get).

otp_08_callers_among_the_unread_get_the_exit_reason() ->
    Me = self(),
    {Server, _} = start(#{}),
    gen_server:cast(Server, {sleep, 50}),
    gen_server:cast(Server, {stop, boom}),
    [spawn(fun() -> call(Server, get), Me ! ready end) || _ <- [1, 2]],
    ready(),
    ready().

otp_08_two_callers_are_answered_in_any_order() ->
    Me = self(),
    {Server, _} = start(#{}),
    Ask = fun(Word) -> gen_server:call(Server, get), say(Word), Me ! ready end,
    spawn(fun() -> Ask("one") end),
    spawn(fun() -> Ask("two") end),
    ready(),
    ready().

otp_09_terminate_runs_on_a_stop() ->
    [begin
        {Server, Monitor} = start(#{}),
        gen_server:cast(Server, {stop, Reason}),
        say("down ~s", [end_of(Monitor)])
    end || Reason <- [normal, shutdown, {shutdown, early}, boom]].

otp_09_terminate_runs_on_an_error_of_a_handler() ->
    {Server, Monitor} = start(#{}),
    gen_server:cast(Server, {panic, boom}),
    say("down ~s", [end_of(Monitor)]).

otp_09_terminate_runs_on_an_exit_of_the_parent_where_exits_are_trapped() ->
    process_flag(trap_exit, true),
    {ok, Server} = probe:start_link(probe, #{trap => true}),
    gen_server:cast(Server, {say, before}),
    exit(Server, shutdown),
    gen_server:cast(Server, {say, 'after'}),
    say(next()).

otp_09_terminate_does_not_run_on_an_exit_of_the_parent_where_exits_are_not_trapped() ->
    process_flag(trap_exit, true),
    {ok, Server} = probe:start_link(probe, #{}),
    exit(Server, shutdown),
    say(next()).

otp_09_normal_of_the_parent_ends_a_server_that_traps() ->
    process_flag(trap_exit, true),
    {ok, Server} = probe:start_link(probe, #{trap => true}),
    exit(Server, normal),
    say(next()).

otp_09_a_parent_that_ends_takes_its_server_along() ->
    Me = self(),
    Parent = spawn(fun() -> {ok, Server} = probe:start_link(probe, #{trap => true}), Me ! {server, Server} end),
    Server = receive {server, Pid} -> Pid end,
    oracle:await_end(Parent),
    oracle:await_end(Server).

otp_09_an_exit_of_anyone_else_goes_to_handle_info_where_exits_are_trapped() ->
    Me = self(),
    {Server, Monitor} = start(#{trap => true}),
    spawn(fun() -> exit(Server, shutdown), exit(Server, normal), Me ! ready end),
    ready(),
    call(Server, get),
    exit(Server, kill),
    say("down ~s", [end_of(Monitor)]).

otp_09_an_exit_of_anyone_else_ends_a_server_that_does_not_trap() ->
    {Server, Monitor} = start(#{}),
    spawn(fun() -> exit(Server, shutdown) end),
    say("down ~s", [end_of(Monitor)]).

otp_09_terminate_never_runs_on_a_kill() ->
    {Server, Monitor} = start(#{trap => true}),
    exit(Server, kill),
    say("down ~s", [end_of(Monitor)]).

otp_10_what_init_is_to_continue_comes_before_the_mailbox() ->
    {Server, _} = start(#{first => continue}),
    call(Server, get).

otp_10_a_continue_comes_before_the_mailbox() ->
    {Server, _} = start(#{}),
    gen_server:cast(Server, {sleep, 50}),
    gen_server:cast(Server, continue),
    gen_server:cast(Server, {say, next}),
    call(Server, get).

otp_10_a_return_timeout_comes_where_nothing_else_does() ->
    {Server, _} = start(#{first => {within, 20}}),
    timer:sleep(100),
    gen_server:cast(Server, {within, 20}),
    timer:sleep(100),
    call(Server, get).

otp_10_any_message_cancels_a_return_timeout() ->
    {Server, _} = start(#{}),
    gen_server:cast(Server, {within, 100}),
    Server ! message,
    timer:sleep(200),
    call(Server, get).

otp_10_a_return_timeout_of_nothing_lets_the_mailbox_go_first() ->
    {Server, _} = start(#{}),
    gen_server:cast(Server, {sleep, 50}),
    gen_server:cast(Server, {within, 0}),
    gen_server:cast(Server, {say, message}),
    call(Server, get),
    gen_server:cast(Server, {within, 0}),
    settle(),
    call(Server, get).

otp_11_init_is_over_when_start_returns() ->
    {Server, _} = start(#{takes => 30}),
    say("started"),
    call(Server, get).

otp_11_who_starts_a_server_gets_the_reason_for_which_its_init_fails() ->
    [begin
        {error, Reason} = probe:start(#{fails => Fails}),
        say("failed: ~s", [reason(Reason)])
    end || Fails <- [boom, normal, shutdown]],
    {error, Panic} = probe:start(#{panics => boom}),
    say("failed: ~s", [reason(Panic)]),
    nothing().

otp_11_a_linked_starter_dies_of_a_failed_init() ->
    {_, Monitor} = spawn_monitor(fun() -> probe:start_link(probe, #{fails => boom}), settle(), say("it lives") end),
    say("down ~s", [end_of(Monitor)]).

otp_11_a_linked_starter_that_traps_gets_the_reason() ->
    process_flag(trap_exit, true),
    {error, Reason} = probe:start_link(probe, #{fails => boom}),
    say("failed: ~s", [reason(Reason)]).

otp_11_a_failed_init_leaves_no_name() ->
    process_flag(trap_exit, true),
    {error, _} = probe:start_link(local, servers_name, #{fails => boom}),
    say("free: ~p", [whereis(servers_name) =:= undefined]),
    {ok, Server} = probe:start_link(local, servers_name, #{}),
    say("taken: ~p", [whereis(servers_name) =:= Server]).

otp_11_a_name_that_is_taken_hurts_nobody() ->
    {ok, First} = probe:start_link(local, servers_taken, #{}),
    {error, {already_started, Holder}} = probe:start_link(local, servers_taken, #{}),
    say("held by the first: ~p", [Holder =:= First]),
    call(First, get).

otp_11_an_init_that_ignores_ends_normally_and_leaves_no_name() ->
    process_flag(trap_exit, true),
    ignore = probe:start_link(local, servers_ignored, #{ignores => true}),
    say("ignored"),
    say("free: ~p", [whereis(servers_ignored) =:= undefined]).

otp_11_an_init_that_takes_too_long_is_killed() ->
    Plan = {probe, #{takes => 500}},
    {error, Reason} = gen_server:start(probe, Plan, [{timeout, 30}]),
    say("failed: ~s", [reason(Reason)]),
    nothing().
