%% A gen_statem with the states a, b and c that does as it is told: the same as `machine.rs`.
-module(machine).
-behaviour(gen_statem).
-export([start/1, start_link/1, init/1, callback_mode/0, handle_event/4, terminate/3]).
-export([insert/1, state_timeout/1, event_timeout/1, timeout/2, cancel_state_timeout/0, cancel_timeout/1]).
-import(oracle, [say/2, reason/1]).

%% A machine that begins in state a, with these actions.
start(Actions) ->
    {ok, Machine} = gen_statem:start(?MODULE, Actions, []),
    Machine.

start_link(Actions) ->
    {ok, Machine} = gen_statem:start_link(?MODULE, Actions, []),
    Machine.

%% Actions.
insert(Word) -> {next_event, internal, Word}.
state_timeout(Time) -> {state_timeout, Time, over}.
event_timeout(Time) -> {timeout, Time, over}.
timeout(Name, Time) -> {{timeout, Name}, Time, over}.
cancel_state_timeout() -> {state_timeout, cancel}.
cancel_timeout(Name) -> {{timeout, Name}, cancel}.

callback_mode() -> [handle_event_function, state_enter].

init(Actions) ->
    process_flag(trap_exit, true),
    {ok, a, [], Actions}.

handle_event(enter, Old, State, _) ->
    say("enter ~s from ~s", [State, Old]),
    keep_state_and_data;
handle_event(internal, Word, State, _) ->
    say("~s: inserted ~s", [State, Word]),
    keep_state_and_data;
handle_event(timeout, over, State, _) ->
    say("~s: event timeout", [State]),
    keep_state_and_data;
handle_event(state_timeout, over, State, _) ->
    say("~s: state timeout", [State]),
    keep_state_and_data;
handle_event({timeout, Name}, over, State, _) ->
    say("~s: timeout ~s", [State, Name]),
    keep_state_and_data;
handle_event({call, From}, get, State, _) ->
    takes(State, get, fun() -> gen_statem:reply(From, 7), keep_state_and_data end);
handle_event(cast, {say, Word}, State, _) ->
    say("~s: ~s", [State, Word]),
    keep_state_and_data;
%% Only state c takes this one.
handle_event(cast, {for_c, Word}, State, _) ->
    takes(State, Word, fun() -> keep_state_and_data end);
handle_event(cast, {go, Next, Actions}, State, Data) ->
    say("~s: go ~s", [State, Next]),
    {next_state, Next, Data, Actions};
handle_event(cast, {keep, Actions}, State, _) ->
    say("~s: keep", [State]),
    {keep_state_and_data, Actions};
handle_event(cast, {repeat, Actions}, State, _) ->
    say("~s: repeat", [State]),
    {repeat_state_and_data, Actions};
handle_event(cast, {work, Time}, _, _) ->
    timer:sleep(Time),
    keep_state_and_data;
handle_event(cast, {stop, Reason}, _, _) ->
    {stop, Reason}.

takes(c, Word, Take) ->
    say("c: ~s", [Word]),
    Take();
takes(State, Word, _) ->
    say("~s: not yet ~s", [State, Word]),
    {keep_state_and_data, [postpone]}.

terminate(Reason, State, _) -> say("~s: terminate ~s", [State, reason(Reason)]).
