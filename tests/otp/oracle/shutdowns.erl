%% Rules 20 and 21, and what supervisors are asked for: how children are stopped, and by whom.
-module(shutdowns).
-compile([export_all, nowarn_export_all]).
-import(oracle, [say/1, say/2, reason/1, next/0, nothing/0, await_end/1, settle/0]).
-import(tree, [start/2, child/1, child/2, in_turn/3, subtree/3, pid/2, tell/3, kill/2, say_children/1, stop/1]).

otp_20_a_brutal_kill_leaves_no_time_to_terminate() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a), child(b, #{shutdown => brutal_kill}), child(c)]),
    stop(Tree).

otp_20_a_child_that_takes_longer_than_it_may_is_killed() ->
    process_flag(trap_exit, true),
    Slow = #{plan => #{trap => true, slow => 1000}, shutdown => 50},
    Tree = start(#{}, [child(a), child(b, Slow), child(c)]),
    stop(Tree).

otp_20_a_child_may_take_its_time() ->
    process_flag(trap_exit, true),
    Slow = #{trap => true, slow => 50},
    Within = child(b, #{plan => Slow, shutdown => 2000}),
    Infinity = child(c, #{plan => Slow, shutdown => infinity}),
    Tree = start(#{}, [child(a), Within, Infinity]),
    stop(Tree).

otp_20_a_child_that_does_not_trap_ends_without_terminate() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a), child(b, #{plan => #{}})]),
    stop(Tree).

otp_20_a_child_that_has_unlinked_itself_is_stopped_all_the_same() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a), child(b, #{plan => #{trap => true, slow => 1000}, shutdown => 50})]),
    gen_server:cast(pid(Tree, a), {unlink, Tree}),
    gen_server:cast(pid(Tree, b), {unlink, Tree}),
    settle(),
    stop(Tree).

otp_20_the_end_of_a_child_that_has_unlinked_itself_goes_unnoticed() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a)]),
    gen_server:cast(pid(Tree, a), {unlink, Tree}),
    tell(Tree, a, {stop, boom}),
    say_children(Tree),
    say_count(Tree),
    stop(Tree).

otp_20_a_supervisor_that_is_killed_leaves_no_child_behind() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a), child(b, #{plan => #{}})]),
    Children = [pid(Tree, a), pid(Tree, b)],
    exit(Tree, kill),
    [await_end(Child) || Child <- Children],
    say(next()).

otp_21_any_significant_child_ends_its_supervisor() ->
    process_flag(trap_exit, true),
    Significant = #{restart => transient, significant => true},
    Tree = start(#{auto_shutdown => any_significant}, [child(a), child(b, Significant), child(c, Significant)]),
    tell(Tree, b, {stop, normal}),
    say(next()).

otp_21_all_significant_children_end_their_supervisor() ->
    process_flag(trap_exit, true),
    Significant = #{restart => transient, significant => true},
    Tree = start(#{auto_shutdown => all_significant}, [child(a), child(b, Significant), child(c, Significant)]),
    tell(Tree, b, {stop, normal}),
    say_children(Tree),
    tell(Tree, c, {stop, shutdown}),
    say(next()).

otp_21_a_significant_child_that_is_restarted_ends_nothing() ->
    process_flag(trap_exit, true),
    Significant = #{restart => transient, significant => true},
    Tree = start(#{auto_shutdown => any_significant}, [child(a), child(b, Significant)]),
    tell(Tree, b, {stop, boom}),
    say_children(Tree),
    tell(Tree, b, {stop, normal}),
    say(next()).

otp_21_a_temporary_significant_child_ends_its_supervisor_whatever_its_reason() ->
    process_flag(trap_exit, true),
    Significant = #{restart => temporary, significant => true},
    Tree = start(#{auto_shutdown => any_significant}, [child(a), child(b, Significant)]),
    tell(Tree, b, {stop, boom}),
    say(next()).

otp_21_a_child_that_is_not_significant_ends_nothing() ->
    process_flag(trap_exit, true),
    Transient = #{restart => transient},
    Tree = start(#{auto_shutdown => any_significant}, [child(a, Transient), child(b, Transient#{significant => true})]),
    tell(Tree, a, {stop, normal}),
    say_children(Tree),
    stop(Tree).

otp_21_stopping_a_significant_child_by_hand_ends_nothing() ->
    process_flag(trap_exit, true),
    Significant = #{restart => transient, significant => true},
    Tree = start(#{auto_shutdown => any_significant}, [child(a), child(b, Significant)]),
    ok = supervisor:terminate_child(Tree, b),
    say_children(Tree),
    stop(Tree).

otp_21_a_significant_child_that_ends_a_subtree_leaves_the_tree_alone() ->
    process_flag(trap_exit, true),
    Significant = #{restart => transient, significant => true},
    Inner = {#{auto_shutdown => any_significant}, [child(b), child(c, Significant)]},
    Tree = start(#{}, [child(a), subtree(inner, transient, Inner)]),
    tell(pid(Tree, inner), c, {stop, normal}),
    settle(),
    say_children(Tree),
    stop(Tree).

otp_21_a_significant_child_that_was_stopped_by_hand_is_none_of_all() ->
    process_flag(trap_exit, true),
    Significant = #{restart => transient, significant => true},
    Tree = start(#{auto_shutdown => all_significant}, [child(a), child(b, Significant), child(c, Significant)]),
    ok = supervisor:terminate_child(Tree, b),
    say_children(Tree),
    tell(Tree, c, {stop, normal}),
    say(next()).

otp_21_a_significant_child_that_ignores_its_start_ends_nothing() ->
    process_flag(trap_exit, true),
    Significant = #{restart => transient, significant => true},
    Ignores = Significant#{plan => #{ignores => true}},
    Tree = start(#{auto_shutdown => all_significant}, [child(a), child(b, Ignores), child(c, Significant)]),
    say_children(Tree),
    tell(Tree, c, {stop, normal}),
    say(next()).

otp_21_a_significant_child_that_is_stopped_with_its_group_ends_nothing() ->
    process_flag(trap_exit, true),
    Significant = #{restart => transient, significant => true},
    Flags = #{strategy => one_for_all, auto_shutdown => any_significant},
    Tree = start(Flags, [child(a), child(b, Significant), child(c, Significant#{restart => temporary})]),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_21_a_permanent_supervisor_that_has_shut_itself_down_is_restarted() ->
    process_flag(trap_exit, true),
    Significant = #{restart => transient, significant => true},
    Inner = {#{auto_shutdown => any_significant}, [child(b, Significant)]},
    Tree = start(#{}, [child(a), subtree(inner, permanent, Inner)]),
    tell(pid(Tree, inner), b, {stop, normal}),
    settle(),
    say_children(Tree),
    stop(Tree).

otp_14_a_child_added_later_is_the_last() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a)]),
    {ok, _} = supervisor:start_child(Tree, child(b)),
    say_children(Tree),
    stop(Tree).

otp_14_a_child_that_cannot_be_added_is_not_kept() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a)]),
    {error, {Reason, _}} = supervisor:start_child(Tree, child(b, #{plan => #{fails => boom}})),
    say("failed: ~s", [reason(Reason)]),
    {ok, undefined} = supervisor:start_child(Tree, child(c, #{plan => #{ignores => true}})),
    {ok, undefined} = supervisor:start_child(Tree, child(d, #{plan => #{ignores => true}, restart => temporary})),
    say_children(Tree),
    stop(Tree).

otp_14_one_id_one_child() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a)]),
    {error, {already_started, Pid}} = supervisor:start_child(Tree, child(a)),
    say("it is the child: ~p", [Pid =:= pid(Tree, a)]),
    ok = supervisor:terminate_child(Tree, a),
    refused(supervisor:start_child(Tree, child(a))),
    stop(Tree).

otp_14_a_child_stopped_by_hand_stays_until_it_is_restarted_or_deleted() ->
    process_flag(trap_exit, true),
    Tree = start(#{intensity => 0}, [child(a), child(b)]),
    ok = supervisor:terminate_child(Tree, a),
    ok = supervisor:terminate_child(Tree, a),
    say_children(Tree),
    {ok, _} = supervisor:restart_child(Tree, a),
    say_children(Tree),
    ok = supervisor:terminate_child(Tree, a),
    ok = supervisor:delete_child(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_14_a_temporary_child_stopped_by_hand_is_forgotten() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a, #{restart => temporary}), child(b)]),
    ok = supervisor:terminate_child(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_14_a_child_that_fails_to_be_restarted_by_hand_stays_without_a_process() ->
    process_flag(trap_exit, true),
    Plans = [#{trap => true}, #{fails => boom}, #{trap => true}],
    Tree = start(#{}, [in_turn(a, Plans, #{})]),
    ok = supervisor:terminate_child(Tree, a),
    {error, Reason} = supervisor:restart_child(Tree, a),
    say("failed: ~s", [reason(Reason)]),
    say_children(Tree),
    {ok, _} = supervisor:restart_child(Tree, a),
    stop(Tree).

otp_14_what_a_supervisor_refuses() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a)]),
    refused(supervisor:restart_child(Tree, a)),
    refused(supervisor:delete_child(Tree, a)),
    refused(supervisor:terminate_child(Tree, b)),
    refused(supervisor:restart_child(Tree, b)),
    refused(supervisor:delete_child(Tree, b)),
    stop(Tree).

otp_14_children_are_counted() ->
    process_flag(trap_exit, true),
    Ignores = #{plan => #{ignores => true}},
    Tree = start(#{}, [child(a), child(b, Ignores), subtree(c, permanent, {#{}, []})]),
    say_count(Tree),
    stop(Tree).

otp_14_specifications_that_make_no_sense_start_nothing() ->
    process_flag(trap_exit, true),
    Refused = fun(Flags, Children) -> {error, _} = tree:start_link(Flags, Children), say("no sense") end,
    Refused(#{}, [child(a), child(a)]),
    Refused(#{auto_shutdown => any_significant}, [child(a, #{significant => true})]),
    Refused(#{}, [child(a, #{significant => true, restart => transient})]),
    Refused(#{period => 0}, [child(a)]).

say_count(Tree) ->
    Counts = maps:from_list(supervisor:count_children(Tree)),
    #{specs := Specs, active := Active, supervisors := Supervisors, workers := Workers} = Counts,
    say("~p specs, ~p active, ~p supervisors, ~p workers", [Specs, Active, Supervisors, Workers]).

refused({error, Why}) -> say("refused: ~s", [Why]).
