%% Supervisors of probes: the same as `tree.rs`.
-module(tree).
-behaviour(supervisor).
-export([start/2, start_link/2, init/1, child/1, child/2, in_turn/3, subtree/3]).
-export([pid/2, tell/3, kill/2, kill_child/2, say_children/1, stop/1, failure/1]).
-import(oracle, [say/1, say/2, reason/1, await_end/1, settle/0]).

%% Starts a supervisor that is linked to who starts it, and answers with its pid.
start(Flags, Children) ->
    {ok, Supervisor} = start_link(Flags, Children),
    Supervisor.

start_link(Flags, Children) -> supervisor:start_link(?MODULE, {Flags, Children}).

init({Flags, Children}) -> {ok, {Flags, Children}}.

%% A probe that traps exits, so that it says how it is stopped. `plan` is another plan for it.
child(Id) -> child(Id, #{}).
child(Id, Spec) ->
    Plan = maps:get(plan, Spec, #{trap => true}),
    maps:merge(#{id => Id, start => {probe, start_link, [Id, Plan]}}, maps:remove(plan, Spec)).

%% A probe with a plan for its first start, one for its second, …; the last of them is for all further ones.
in_turn(Id, Plans, Spec) ->
    Turns = counters:new(1, []),
    maps:merge(#{id => Id, start => {probe, start_in_turn, [Turns, Plans, Id]}}, Spec).

%% A supervisor as a child; `restart` says when it is restarted.
subtree(Id, Restart, {Flags, Children}) ->
    #{id => Id, start => {?MODULE, start_link, [Flags, Children]}, restart => Restart, type => supervisor}.

%% The process of a child.
pid(Supervisor, Id) ->
    {Id, Pid, _, _} = lists:keyfind(Id, 1, supervisor:which_children(Supervisor)),
    Pid.

%% Tells a child something of which it ends, and waits until its supervisor has done what it does then.
tell(Supervisor, Id, What) ->
    Child = pid(Supervisor, Id),
    gen_server:cast(Child, What),
    await_end(Child),
    settle_with(Supervisor).

%% The same, by a kill.
kill(Supervisor, Id) -> kill_child(Supervisor, pid(Supervisor, Id)).

kill_child(Supervisor, Child) ->
    exit(Child, kill),
    await_end(Child),
    settle_with(Supervisor).

%% Waits until a supervisor has nothing more to restart, or has ended.
settle_with(Supervisor) ->
    settle(),
    Children = try supervisor:which_children(Supervisor) catch exit:_ -> [] end,
    case lists:keymember(restarting, 2, Children) of
        true -> settle_with(Supervisor);
        false -> ok
    end.

%% Says which children there are, in the order of their starts.
say_children(Supervisor) ->
    Children = lists:reverse(supervisor:which_children(Supervisor)),
    Words = [io_lib:format(" ~s:~s", [Id, up(Child)]) || {Id, Child, _, _} <- Children],
    say("children:~s", [Words]).

up(undefined) -> "down";
up(restarting) -> "restarting";
up(_) -> "up".

%% Stops a supervisor as its parent does, and says for which reason it ends.
stop(Supervisor) ->
    exit(Supervisor, shutdown),
    receive {'EXIT', Supervisor, Reason} -> say("the tree: ~s", [reason(Reason)]) end.

%% Says why a supervisor did not start.
failure({error, Reason}) -> say("failed: ~s", [reason(Reason)]).
