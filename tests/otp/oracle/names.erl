%% Rule 23: names.
-module(names).
-compile([export_all, nowarn_export_all]).
-import(oracle, [say/1, say/2, next/0, ready/0, nothing/0, await_end/1, idle/0, settle/0]).

%% Takes a name, and says whether it could.
take(Name) ->
    try register(Name, self()) of
        true -> say("~s: taken", [Name])
    catch
        error:badarg -> say("~s: refused", [Name])
    end.

%% A process that has taken this name.
holder(Name) ->
    Me = self(),
    Holder = spawn(fun() -> take(Name), Me ! ready, idle() end),
    ready(),
    Holder.

otp_23_a_name_has_one_holder() ->
    Holder = holder(names_one),
    take(names_one),
    say("held by the first: ~p", [whereis(names_one) =:= Holder]).

otp_23_a_process_has_one_name() ->
    take(names_a),
    take(names_a),
    take(names_b),
    say("free: ~p", [whereis(names_b) =:= undefined]).

otp_23_a_name_given_back_can_be_taken_again() ->
    take(names_back),
    unregister(names_back),
    holder(names_back),
    take(names_other).

otp_23_a_name_is_free_on_every_way_out() ->
    Ways = [
        fun() -> ok end,
        fun() -> exit(shutdown) end,
        fun() -> exit(self(), kill), idle() end,
        fun() -> error(boom) end
    ],
    [begin
        await_end(spawn(fun() -> take(names_out), Way() end)),
        say("free: ~p", [whereis(names_out) =:= undefined])
    end || Way <- Ways].

otp_23_one_of_two_takes_a_name() ->
    Me = self(),
    Take = fun(Word) -> fun() ->
        try register(names_race, self()) of
            true -> say("~s has it", [Word])
        catch
            error:badarg -> ok
        end,
        Me ! ready,
        idle()
    end end,
    spawn(Take("one")),
    spawn(Take("two")),
    ready(),
    ready().

otp_23_a_name_stays_good_across_restarts() ->
    process_flag(trap_exit, true),
    Start = {probe, start_link, [local, names_server, #{}]},
    Tree = tree:start(#{}, [#{id => a, start => Start}]),
    say("answer ~p", [gen_server:call(names_server, get)]),
    First = whereis(names_server),
    tree:kill(Tree, a),
    say("answer ~p", [gen_server:call(names_server, get)]),
    say("it is another: ~p", [whereis(names_server) =/= First]),
    tree:stop(Tree).

otp_23_what_is_sent_to_a_name_that_nobody_has_is_no_error() ->
    gen_server:cast(names_nobody, message),
    nothing().

otp_23_the_name_of_a_restarted_child_is_free_for_it() ->
    process_flag(trap_exit, true),
    Named = fun(Name, Id) -> #{id => Id, start => {probe, start_link, [local, Name, #{}]}} end,
    Tree = tree:start(#{strategy => one_for_all}, [Named(names_first, a), Named(names_second, b)]),
    tree:kill(Tree, a),
    tree:say_children(Tree),
    tree:stop(Tree).
