%% Rules 14 and 15: how supervisors start their children, and which of them they restart.
-module(trees).
-compile([export_all, nowarn_export_all]).
-import(oracle, [say/1, say/2, reason/1, next/0, await_end/1, settle/0]).
-import(tree, [start/2, child/1, child/2, subtree/3, pid/2, tell/3, kill/2, say_children/1, stop/1, failure/1]).

otp_14_children_start_in_order_and_stop_in_reverse() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a), child(b), child(c)]),
    say_children(Tree),
    stop(Tree).

otp_14_where_one_fails_those_before_it_stop_in_reverse_and_later_ones_are_not_tried() ->
    process_flag(trap_exit, true),
    Fails = child(c, #{plan => #{fails => boom}}),
    failure(tree:start_link(#{}, [child(a), child(b), Fails, child(d)])).

otp_14_a_child_whose_init_panics_fails() ->
    process_flag(trap_exit, true),
    failure(tree:start_link(#{}, [child(a), child(b, #{plan => #{panics => boom}})])).

otp_14_a_supervisor_that_cannot_start_ends_with_its_reason() ->
    Fails = child(a, #{plan => #{fails => boom}}),
    {_, Monitor} = spawn_monitor(fun() -> tree:start_link(#{}, [Fails]), settle() end),
    say("starter: ~s", [oracle:end_of(Monitor)]).

otp_14_where_a_subtree_fails_the_reason_tells_the_way() ->
    process_flag(trap_exit, true),
    Inner = {#{}, [child(b), child(c, #{plan => #{fails => boom}})]},
    failure(tree:start_link(#{}, [child(a), subtree(inner, permanent, Inner), child(d)])).

otp_14_a_tree_stops_depth_first_in_reverse() ->
    process_flag(trap_exit, true),
    Inner = {#{}, [child(b), child(c)]},
    Tree = start(#{}, [child(a), subtree(inner, permanent, Inner), child(d)]),
    stop(Tree).

otp_14_a_child_that_ignores_its_start_is_kept_without_a_process_and_a_temporary_one_is_not() ->
    process_flag(trap_exit, true),
    Ignores = #{plan => #{ignores => true}},
    Tree = start(#{}, [child(a, Ignores), child(b, Ignores#{restart => temporary}), child(c)]),
    say_children(Tree),
    stop(Tree).

otp_14_a_supervisor_ends_with_the_reason_of_its_parent() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a)]),
    exit(Tree, normal),
    say(next()).

otp_14_an_exit_of_anyone_else_is_nothing_to_a_supervisor() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a)]),
    await_end(spawn(fun() -> exit(Tree, boom) end)),
    say_children(Tree),
    stop(Tree).

otp_15_one_for_one_restarts_the_one_that_ended() ->
    process_flag(trap_exit, true),
    Tree = start(#{strategy => one_for_one}, [child(a), child(b), child(c)]),
    kill(Tree, b),
    say_children(Tree),
    stop(Tree).

otp_15_one_for_all_stops_in_reverse_and_starts_forward() ->
    process_flag(trap_exit, true),
    Tree = start(#{strategy => one_for_all}, [child(a), child(b), child(c)]),
    kill(Tree, b),
    say_children(Tree),
    stop(Tree).

otp_15_rest_for_one_stops_and_starts_those_after_it() ->
    process_flag(trap_exit, true),
    Tree = start(#{strategy => rest_for_one}, [child(a), child(b), child(c), child(d)]),
    kill(Tree, b),
    say_children(Tree),
    stop(Tree).

otp_15_one_event_counts_as_one_restart() ->
    process_flag(trap_exit, true),
    Quiet = #{plan => #{}},
    Tree = start(#{strategy => one_for_all, intensity => 1}, [child(a, Quiet), child(b, Quiet), child(c, Quiet)]),
    kill(Tree, b),
    say_children(Tree),
    kill(Tree, b),
    say(next()).

otp_15_children_that_end_together_are_one_event_of_one_for_all() ->
    process_flag(trap_exit, true),
    Quiet = #{plan => #{}},
    Tree = start(#{strategy => one_for_all, intensity => 1}, [child(a, Quiet), child(b, Quiet)]),
    [exit(Child, kill) || Child <- [pid(Tree, a), pid(Tree, b)]],
    settle(),
    say_children(Tree),
    stop(Tree).

otp_15_a_group_restart_revives_transient_siblings_that_had_ended() ->
    process_flag(trap_exit, true),
    Tree = start(#{strategy => one_for_all}, [child(a), child(b, #{restart => transient})]),
    tell(Tree, b, {stop, normal}),
    say_children(Tree),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_15_a_group_restart_revives_siblings_that_were_stopped_by_hand() ->
    process_flag(trap_exit, true),
    Tree = start(#{strategy => one_for_all}, [child(a), child(b)]),
    ok = supervisor:terminate_child(Tree, b),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_15_a_group_restart_drops_temporary_siblings() ->
    process_flag(trap_exit, true),
    Tree = start(#{strategy => one_for_all}, [child(a), child(b, #{restart => temporary}), child(c)]),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_15_rest_for_one_revives_only_those_after_it() ->
    process_flag(trap_exit, true),
    Transient = #{restart => transient},
    Tree = start(#{strategy => rest_for_one}, [child(a, Transient), child(b), child(c, Transient)]),
    tell(Tree, a, {stop, normal}),
    tell(Tree, c, {stop, normal}),
    kill(Tree, b),
    say_children(Tree),
    stop(Tree).

otp_15_an_end_that_brings_no_restart_leaves_the_group_alone() ->
    process_flag(trap_exit, true),
    Tree = start(#{strategy => one_for_all}, [child(a, #{restart => temporary}), child(b)]),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).
