%% Rules 1 to 7: signals, links, exits, monitors.
-module(signals).
-compile([export_all, nowarn_export_all]).
-import(oracle, [say/1, say/2, reason/1, end_of/1, await_end/1, next/0, ready/0, nothing/0, idle/0, settle/0,
    dead/0]).

otp_01_what_one_process_sends_comes_in_order() ->
    process_flag(trap_exit, true),
    Me = self(),
    spawn_link(fun() -> Me ! one, Me ! two, exit(Me, normal), Me ! three end),
    [say(next()) || _ <- lists:seq(1, 5)].

otp_01_two_senders_come_in_any_order() ->
    Me = self(),
    spawn(fun() -> Me ! one end),
    spawn(fun() -> Me ! two end),
    say(next()),
    say(next()).

otp_01_a_link_made_after_a_kill_finds_nobody() ->
    process_flag(trap_exit, true),
    Child = spawn(fun oracle:idle/0),
    exit(Child, kill),
    link(Child),
    say(next()),
    nothing().

otp_01_a_link_made_before_a_kill_tells_killed() ->
    process_flag(trap_exit, true),
    Child = spawn(fun oracle:idle/0),
    link(Child),
    exit(Child, kill),
    say(next()),
    nothing().

otp_01_a_monitor_before_a_kill_tells_killed_and_one_after_it_noproc() ->
    {Child, Before} = spawn_monitor(fun oracle:idle/0),
    exit(Child, kill),
    After = monitor(process, Child),
    say("before: ~s", [end_of(Before)]),
    say("after: ~s", [end_of(After)]).

otp_02_two_links_and_one_unlink_leave_none() ->
    {Child, Monitor} = spawn_monitor(fun oracle:idle/0),
    link(Child),
    link(Child),
    unlink(Child),
    exit(Child, boom),
    say("child: ~s", [end_of(Monitor)]),
    say("still here").

otp_02_an_unlink_leaves_an_exit_message_that_is_there_already() ->
    process_flag(trap_exit, true),
    Child = spawn_link(fun() -> exit(boom) end),
    await_end(Child),
    settle(),
    unlink(Child),
    say(next()),
    nothing().

otp_02_a_link_goes_both_ways() ->
    {Left, LeftMonitor} = spawn_monitor(fun oracle:idle/0),
    Me = self(),
    {_, RightMonitor} = spawn_monitor(fun() -> link(Left), Me ! ready, idle() end),
    ready(),
    exit(Left, boom),
    say("right: ~s", [end_of(RightMonitor)]),
    say("left: ~s", [end_of(LeftMonitor)]),
    {Other, OtherMonitor} = spawn_monitor(fun oracle:idle/0),
    spawn(fun() -> link(Other), exit(boom) end),
    say("other: ~s", [end_of(OtherMonitor)]).

otp_03_a_link_to_a_dead_process_brings_noproc() ->
    Gone = dead(),
    {_, Monitor} = spawn_monitor(fun() -> link(Gone), idle() end),
    say("child: ~s", [end_of(Monitor)]),
    process_flag(trap_exit, true),
    link(Gone),
    say(next()),
    nothing().

otp_04_normal_from_another_process_is_ignored() ->
    {Child, Monitor} = spawn_monitor(fun oracle:idle/0),
    exit(Child, normal),
    exit(Child, shutdown),
    say("child: ~s", [end_of(Monitor)]).

otp_04_normal_along_a_link_is_ignored() ->
    spawn_link(fun() -> ok end),
    nothing().

otp_04_normal_from_another_process_comes_to_one_that_traps() ->
    process_flag(trap_exit, true),
    Me = self(),
    spawn(fun() -> exit(Me, normal) end),
    say(next()),
    nothing().

otp_04_a_process_that_sends_itself_normal_ends() ->
    {_, Monitor} = spawn_monitor(fun() -> exit(self(), normal), idle() end),
    say("child: ~s", [end_of(Monitor)]).

otp_04_a_process_that_traps_gets_its_own_exit_signal() ->
    process_flag(trap_exit, true),
    exit(self(), normal),
    say(next()),
    exit(self(), boom),
    say(next()).

otp_04_a_process_that_kills_itself_is_killed_though_it_traps() ->
    {_, Monitor} = spawn_monitor(fun() -> process_flag(trap_exit, true), exit(self(), kill), idle() end),
    say("child: ~s", [end_of(Monitor)]).

otp_04_exit_of_itself_is_not_trapped() ->
    {_, Monitor} = spawn_monitor(fun() -> process_flag(trap_exit, true), exit(boom) end),
    say("child: ~s", [end_of(Monitor)]).

otp_04_a_sent_kill_cannot_be_trapped_and_turns_into_killed() ->
    process_flag(trap_exit, true),
    Me = self(),
    {Child, Monitor} = spawn_monitor(fun() -> process_flag(trap_exit, true), Me ! ready, idle() end),
    link(Child),
    ready(),
    exit(Child, kill),
    say("child: ~s", [end_of(Monitor)]),
    say(next()),
    nothing().

otp_04_a_kill_along_a_link_can_be_trapped() ->
    process_flag(trap_exit, true),
    spawn_link(fun() -> exit(kill) end),
    say(next()),
    nothing().

otp_04_a_kill_along_a_link_is_not_converted() ->
    {_, Monitor} = spawn_monitor(fun() -> spawn_link(fun() -> exit(kill) end), idle() end),
    say("child: ~s", [end_of(Monitor)]).

otp_04_killed_along_a_link_ends_with_killed() ->
    {_, Monitor} = spawn_monitor(fun() -> exit(spawn_link(fun oracle:idle/0), kill), idle() end),
    say("child: ~s", [end_of(Monitor)]).

otp_04_a_reason_goes_along_a_chain_of_links() ->
    {_, Monitor} = spawn_monitor(fun() ->
        spawn_link(fun() -> spawn_link(fun() -> exit(boom) end), idle() end),
        idle()
    end),
    say("first: ~s", [end_of(Monitor)]).

otp_04_one_that_traps_ends_a_chain_of_links() ->
    Me = self(),
    {First, Monitor} = spawn_monitor(fun() ->
        spawn_link(fun() ->
            process_flag(trap_exit, true),
            spawn_link(fun() -> exit(boom) end),
            say("second: ~s", [next()]),
            Me ! ready,
            idle()
        end),
        idle()
    end),
    ready(),
    exit(First, shutdown),
    say("first: ~s", [end_of(Monitor)]).

otp_04_an_error_in_a_process_is_its_reason() ->
    process_flag(trap_exit, true),
    spawn_link(fun() -> error(boom) end),
    say(next()).

otp_04_the_first_of_two_exit_signals_counts() ->
    {Child, Monitor} = spawn_monitor(fun oracle:idle/0),
    exit(Child, first),
    exit(Child, kill),
    say("child: ~s", [end_of(Monitor)]).

otp_05_monitors_stack() ->
    Child = spawn(fun oracle:idle/0),
    monitor(process, Child),
    monitor(process, Child),
    exit(Child, boom),
    say(next()),
    say(next()),
    nothing().

otp_05_the_monitor_of_a_dead_process_gives_noproc() ->
    monitor(process, dead()),
    say(next()),
    nothing().

otp_05_demonitor_leaves_a_down_that_is_there_already() ->
    {Child, Monitor} = spawn_monitor(fun() -> exit(boom) end),
    await_end(Child),
    settle(),
    demonitor(Monitor),
    say("something: ~p", [next() =/= "nothing"]),
    nothing().

otp_05_demonitor_with_flush_leaves_nothing() ->
    {Child, Monitor} = spawn_monitor(fun() -> exit(boom) end),
    await_end(Child),
    demonitor(Monitor, [flush]),
    nothing().

otp_05_a_name_is_free_when_its_end_is_told() ->
    process_flag(trap_exit, true),
    Me = self(),
    Child = spawn_link(fun() -> register(signals_name, self()), Me ! ready, idle() end),
    ready(),
    say("taken: ~p", [whereis(signals_name) =:= Child]),
    exit(Child, boom),
    say(next()),
    say("free: ~p", [register(signals_name, self())]).

otp_05_the_end_of_a_monitored_process_hurts_nobody() ->
    Me = self(),
    {Watcher, Monitor} = spawn_monitor(fun() ->
        spawn_monitor(fun() -> exit(boom) end),
        say("watcher: ~s", [next()]),
        Me ! ready,
        idle()
    end),
    ready(),
    exit(Watcher, shutdown),
    say("watcher: ~s", [end_of(Monitor)]).

otp_07_a_place_for_an_answer_takes_one() ->
    Place = alias([reply]),
    spawn(fun() -> Place ! {Place, one}, Place ! {Place, two} end),
    receive {Place, Answer} -> say("~p", [Answer]) end,
    nothing().

otp_07_whether_a_place_for_an_answer_counts_is_judged_when_the_answer_comes() ->
    Place = alias([reply]),
    Late = spawn(fun() -> receive go -> Place ! {Place, one} end end),
    unalias(Place),
    Late ! go,
    await_end(Late),
    nothing().
