%% A gen_server that does as it is told, and says what becomes of it: the same as `probe.rs`.
-module(probe).
-behaviour(gen_server).
-export([start/1, start/2, start_link/2, start_link/3, start_planned/2, start_in_turn/3]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).
-import(oracle, [say/2, reason/1]).

%% A plan is a map: whether it `trap`s exits; what its `init` does (`fails`, `panics`, `ignores`, `takes` so many
%% milliseconds), what comes `first` after it, and whether its `terminate` is so many milliseconds `slow`.
start(Plan) -> start(probe, Plan).
start(Name, Plan) -> gen_server:start(?MODULE, {Name, Plan}, []).
start_link(Name, Plan) -> gen_server:start_link(?MODULE, {Name, Plan}, []).
start_link(local, Name, Plan) -> gen_server:start_link({local, Name}, ?MODULE, {Name, Plan}, []).
start_planned(Plan, Name) -> start_link(Name, Plan).
start_in_turn(Turns, Plans, Name) ->
    counters:add(Turns, 1, 1),
    start_link(Name, lists:nth(min(counters:get(Turns, 1), length(Plans)), Plans)).

init({Name, Plan}) ->
    put(slow, maps:get(slow, Plan, 0)),
    process_flag(trap_exit, maps:get(trap, Plan, false)),
    say("~s: init", [Name]),
    case Plan of
        #{fails := Reason} -> {stop, Reason};
        #{panics := Reason} -> error(Reason);
        #{ignores := true} -> ignore;
        #{takes := Time} -> timer:sleep(Time), say("~s: init ends", [Name]), {ok, Name};
        #{first := continue} -> self() ! message, {ok, Name, {continue, go_on}};
        #{first := {within, Time}} -> {ok, Name, Time};
        #{} -> {ok, Name}
    end.

handle_continue(go_on, Name) ->
    say("~s: continue", [Name]),
    {noreply, Name}.

handle_call(get, _, Name) -> {reply, 7, Name};
handle_call(ignore, _, Name) -> {noreply, Name};
handle_call({'after', Time}, _, Name) -> timer:sleep(Time), {reply, 7, Name};
handle_call({pass_to, Other}, From, Name) -> Other ! {question, From}, {noreply, Name};
handle_call(call_yourself, _, Name) ->
    {'EXIT', {Why, _}} = catch gen_server:call(self(), get),
    say("~s: no answer: ~s", [Name, Why]),
    {reply, 7, Name};
handle_call({stop, Reason}, _, Name) -> {stop, Reason, Name};
handle_call({answer_and_stop, Reason}, _, Name) -> {stop, Reason, 7, Name}.

handle_cast({say, Word}, Name) -> say("~s: ~s", [Name, Word]), {noreply, Name};
handle_cast({stop, Reason}, Name) -> {stop, Reason, Name};
handle_cast({panic, Reason}, _) -> error(Reason);
handle_cast({unlink, Other}, Name) -> unlink(Other), {noreply, Name};
handle_cast({sleep, Time}, Name) -> timer:sleep(Time), {noreply, Name};
handle_cast(continue, Name) -> self() ! message, {noreply, Name, {continue, go_on}};
handle_cast({within, Time}, Name) -> {noreply, Name, Time}.

handle_info({'EXIT', _, Reason}, Name) -> say("~s: exit ~s", [Name, reason(Reason)]), {noreply, Name};
handle_info(Word, Name) -> say("~s: ~s", [Name, Word]), {noreply, Name}.

terminate(Reason, Name) ->
    say("~s: terminate ~s", [Name, reason(Reason)]),
    case get(slow) of
        0 -> ok;
        Time -> timer:sleep(Time), say("~s: terminate ends", [Name])
    end.
