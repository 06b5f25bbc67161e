%% Rules 16 to 19: how often supervisors restart, and what.
-module(restarts).
-compile([export_all, nowarn_export_all]).
-import(oracle, [say/1, say/2, reason/1, next/0, settle/0]).
-import(tree, [start/2, child/1, child/2, in_turn/3, subtree/3, pid/2, tell/3, kill/2, say_children/1, stop/1]).

otp_16_one_restart_is_allowed_where_nothing_is_said() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a), child(b)]),
    kill(Tree, a),
    say_children(Tree),
    kill(Tree, a),
    say(next()).

otp_16_the_intensity_belongs_to_the_supervisor_and_not_to_the_child() ->
    process_flag(trap_exit, true),
    Tree = start(#{intensity => 2}, [child(a), child(b)]),
    kill(Tree, a),
    kill(Tree, b),
    say_children(Tree),
    kill(Tree, b),
    say(next()).

otp_16_an_intensity_of_nought_allows_no_restart() ->
    process_flag(trap_exit, true),
    Tree = start(#{intensity => 0}, [child(a), child(b)]),
    kill(Tree, b),
    say(next()).

otp_16_only_restarts_of_the_last_period_count() ->
    process_flag(trap_exit, true),
    Tree = start(#{intensity => 1, period => 1}, [child(a)]),
    kill(Tree, a),
    timer:sleep(2100),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_16_a_restart_a_whole_period_ago_may_count() ->
    process_flag(trap_exit, true),
    Tree = start(#{intensity => 1, period => 1}, [child(a)]),
    exit(pid(Tree, a), kill),
    timer:sleep(1000),
    exit(pid(Tree, a), kill),
    settle(),
    exit(Tree, shutdown),
    say(next()).

otp_17_a_restart_that_fails_is_tried_again() ->
    process_flag(trap_exit, true),
    Plans = [#{}, #{fails => boom}, #{fails => boom}, #{trap => true}],
    Tree = start(#{intensity => 3}, [in_turn(a, Plans, #{}), child(b)]),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_17_each_try_counts() ->
    process_flag(trap_exit, true),
    Tree = start(#{intensity => 2}, [in_turn(a, [#{}, #{fails => boom}], #{}), child(b)]),
    kill(Tree, a),
    say(next()).

otp_17_a_group_of_which_one_fails_to_restart_is_tried_again() ->
    process_flag(trap_exit, true),
    Plans = [#{}, #{fails => boom}, #{trap => true}],
    Tree = start(#{strategy => one_for_all, intensity => 2}, [child(a), in_turn(b, Plans, #{}), child(c)]),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_17_a_rest_of_which_one_fails_to_restart_is_tried_again_from_that_one() ->
    process_flag(trap_exit, true),
    Plans = [#{}, #{fails => boom}, #{trap => true}],
    Children = [child(a), child(b), in_turn(c, Plans, #{}), child(d)],
    Tree = start(#{strategy => rest_for_one, intensity => 2}, Children),
    kill(Tree, b),
    say_children(Tree),
    stop(Tree).

otp_17_a_restart_that_ignores_is_over() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [in_turn(a, [#{}, #{ignores => true}], #{})]),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_18_one_that_gives_up_stops_the_rest_in_reverse_and_ends_with_shutdown() ->
    process_flag(trap_exit, true),
    Tree = start(#{intensity => 0}, [child(a), child(b), child(c), child(d)]),
    tell(Tree, b, {stop, boom}),
    say(next()).

otp_18_a_transient_supervisor_that_gave_up_is_not_restarted() ->
    process_flag(trap_exit, true),
    Inner = {#{intensity => 0}, [child(b)]},
    Tree = start(#{}, [child(a), subtree(inner, transient, Inner)]),
    kill(pid(Tree, inner), b),
    settle(),
    say_children(Tree),
    stop(Tree).

otp_18_a_permanent_supervisor_that_gave_up_is_restarted() ->
    process_flag(trap_exit, true),
    Inner = {#{intensity => 0}, [child(b)]},
    Tree = start(#{}, [child(a), subtree(inner, permanent, Inner)]),
    kill(pid(Tree, inner), b),
    settle(),
    say_children(Tree),
    kill(pid(Tree, inner), b),
    say(next()).

otp_18_giving_up_goes_up_the_tree() ->
    process_flag(trap_exit, true),
    Inner = {#{intensity => 0}, [child(c)]},
    Middle = {#{intensity => 0}, [child(b), subtree(inner, permanent, Inner)]},
    Tree = start(#{intensity => 0}, [child(a), subtree(middle, permanent, Middle)]),
    kill(pid(pid(Tree, middle), inner), c),
    say(next()).

otp_19_permanent_children_are_always_restarted() ->
    process_flag(trap_exit, true),
    Tree = start(#{intensity => 4}, [child(a)]),
    [tell(Tree, a, {stop, Reason}) || Reason <- [normal, shutdown, {shutdown, early}, boom]],
    say_children(Tree),
    stop(Tree).

otp_19_transient_children_are_not_restarted_after_a_clean_end() ->
    process_flag(trap_exit, true),
    [begin
        Tree = start(#{}, [child(a, #{restart => transient})]),
        tell(Tree, a, {stop, Reason}),
        say_children(Tree),
        stop(Tree)
    end || Reason <- [normal, shutdown, {shutdown, early}]].

otp_19_transient_children_are_restarted_after_any_other_end() ->
    process_flag(trap_exit, true),
    Tree = start(#{intensity => 4}, [child(a, #{restart => transient})]),
    tell(Tree, a, {stop, boom}),
    tell(Tree, a, {panic, boom}),
    kill(Tree, a),
    say_children(Tree),
    stop(Tree).

otp_19_temporary_children_are_never_restarted_and_forgotten() ->
    process_flag(trap_exit, true),
    Tree = start(#{}, [child(a, #{restart => temporary}), child(b)]),
    tell(Tree, a, {panic, boom}),
    say_children(Tree),
    stop(Tree).
