%% Rules 14 to 20 for dynamic supervisors: simple_one_for_one.
-module(pools).
-compile([export_all, nowarn_export_all]).
-import(oracle, [say/1, say/2, reason/1, next/0, await_end/1, settle/0]).
-import(tree, [kill_child/2, stop/1]).

%% A pool of probes that traps exits, so that they say how they are stopped.
pool() -> pool(#{}, #{}).
pool(Flags, Spec) -> pool(Flags, Spec, {probe, start_planned, [maps:get(plan, Spec, #{trap => true})]}).
pool(Flags, Spec, Start) ->
    Child = maps:merge(#{id => probe, start => Start}, maps:remove(plan, Spec)),
    tree:start(Flags#{strategy => simple_one_for_one}, [Child]).

%% A pool in which the first child that is started has the first of these plans, and so on.
in_turn(Flags, Plans) -> pool(Flags, #{}, {probe, start_in_turn, [counters:new(1, []), Plans]}).

add(Pool, Name) ->
    {ok, Child} = supervisor:start_child(Pool, [Name]),
    Child.

tell(Pool, Child, What) ->
    gen_server:cast(Child, What),
    await_end(Child),
    settle(),
    catch supervisor:count_children(Pool).

say_count(Pool) ->
    Counts = supervisor:count_children(Pool),
    say("~p active, ~p workers", [proplists:get_value(active, Counts), proplists:get_value(workers, Counts)]).

otp_14_children_of_a_pool_have_arguments_of_their_own() ->
    process_flag(trap_exit, true),
    Pool = pool(#{}, #{plan => #{}}),
    [add(Pool, Name) || Name <- [a, b, c]],
    say_count(Pool),
    stop(Pool).

otp_14_a_child_that_fails_or_ignores_its_start_is_not_kept() ->
    process_flag(trap_exit, true),
    Pool = in_turn(#{}, [#{fails => boom}, #{ignores => true}, #{}]),
    {error, Reason} = supervisor:start_child(Pool, [a]),
    say("failed: ~s", [reason(Reason)]),
    {ok, undefined} = supervisor:start_child(Pool, [b]),
    add(Pool, c),
    say_count(Pool),
    stop(Pool).

otp_14_a_child_of_a_pool_is_stopped_for_good() ->
    process_flag(trap_exit, true),
    Pool = pool(),
    [A, _] = [add(Pool, Name) || Name <- [a, b]],
    ok = supervisor:terminate_child(Pool, A),
    say_count(Pool),
    {error, Why} = supervisor:terminate_child(Pool, self()),
    say("refused: ~s", [Why]),
    stop(Pool).

otp_15_a_child_of_a_pool_is_restarted_with_its_arguments() ->
    process_flag(trap_exit, true),
    Pool = pool(#{}, #{plan => #{}}),
    [_, B] = [add(Pool, Name) || Name <- [a, b]],
    kill_child(Pool, B),
    say_count(Pool),
    stop(Pool).

otp_16_the_intensity_of_a_pool_is_that_of_all_its_children() ->
    process_flag(trap_exit, true),
    Pool = pool(#{}, #{}),
    [A, B] = [add(Pool, Name) || Name <- [a, b]],
    kill_child(Pool, A),
    say_count(Pool),
    exit(B, kill),
    say(next()).

otp_17_a_restart_in_a_pool_that_fails_is_tried_again() ->
    process_flag(trap_exit, true),
    Pool = in_turn(#{intensity => 3}, [#{}, #{fails => boom}, #{fails => boom}, #{trap => true}]),
    kill_child(Pool, add(Pool, a)),
    say_count(Pool),
    stop(Pool).

otp_17_each_try_in_a_pool_counts() ->
    process_flag(trap_exit, true),
    Pool = in_turn(#{intensity => 2}, [#{}, #{fails => boom}]),
    kill_child(Pool, add(Pool, a)),
    say(next()).

otp_18_a_pool_that_gives_up_stops_its_children_and_ends_with_shutdown() ->
    process_flag(trap_exit, true),
    Pool = pool(#{intensity => 0}, #{}),
    [A, _] = [add(Pool, Name) || Name <- [a, b]],
    exit(A, kill),
    say(next()).

otp_19_temporary_children_of_a_pool_are_forgotten() ->
    process_flag(trap_exit, true),
    Pool = pool(#{}, #{restart => temporary}),
    [A, _] = [add(Pool, Name) || Name <- [a, b]],
    tell(Pool, A, {stop, boom}),
    say_count(Pool),
    stop(Pool).

otp_19_transient_children_of_a_pool_are_restarted_after_no_clean_end() ->
    process_flag(trap_exit, true),
    Pool = pool(#{intensity => 4}, #{restart => transient}),
    tell(Pool, add(Pool, a), {stop, boom}),
    say_count(Pool),
    [tell(Pool, add(Pool, b), {stop, Reason}) || Reason <- [normal, shutdown, {shutdown, early}]],
    say_count(Pool),
    stop(Pool).

otp_20_a_pool_stops_its_children_together() ->
    process_flag(trap_exit, true),
    Pool = pool(#{}, #{plan => #{trap => true, slow => 50}}),
    [add(Pool, Name) || Name <- [a, b]],
    stop(Pool).

otp_20_children_of_a_pool_that_take_longer_than_they_may_are_killed() ->
    process_flag(trap_exit, true),
    Pool = pool(#{}, #{plan => #{trap => true, slow => 1000}, shutdown => 50}),
    add(Pool, a),
    stop(Pool).

otp_20_a_brutal_kill_of_a_pool_leaves_no_time_to_terminate() ->
    process_flag(trap_exit, true),
    Pool = pool(#{}, #{shutdown => brutal_kill}),
    [add(Pool, Name) || Name <- [a, b]],
    stop(Pool).
