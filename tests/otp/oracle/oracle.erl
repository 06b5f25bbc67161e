%% Runs the Erlang programs of this folder, and prints what each of their cases prints.
%%
%% A case is an exported function `otp_NN_…/0`. It runs in a process of its own; whatever it and the processes
%% that it starts print goes to its group leader, which keeps the lines until the case returns. All cases run
%% side by side, so a name that one of them registers is its own.
-module(oracle).
-export([main/3]).
-export([say/1, say/2, reason/1, end_of/1, await_end/1, next/0, ready/0, nothing/0, idle/0, settle/0, dead/0]).

%% ---- what cases use

say(Line) -> say(Line, []).

say(Format, Arguments) -> io:format(Format ++ "~n", Arguments).

%% Erlang's reasons in the words that `ExitReason` prints. This is the one table of them.
reason(Plain) when Plain =:= normal; Plain =:= shutdown; Plain =:= kill; Plain =:= killed -> atom_to_list(Plain);
reason(Plain) when Plain =:= noproc; Plain =:= timeout -> atom_to_list(Plain);
reason({shutdown, Why}) -> "shutdown(" ++ word(Why) ++ ")";
%% To a dead process of its own node `link/1` raises what it brings as a signal from any other.
reason({noproc, [{erlang, link, _, _} | _]}) -> "noproc";
reason({bad_return_value, Value}) -> "error: bad_return_value: " ++ word(Value);
reason({Exception, [{_, _, _, _} | _Stack]}) -> "panic: " ++ word(Exception);
reason(Own) -> "error: " ++ word(Own).

word({failed_to_start_child, Id, Why}) -> io_lib:format("failed_to_start_child(~s, ~s)", [Id, reason(Why)]);
word(Word) -> io_lib:format("~p", [Word]).

%% Why a monitored process ends.
end_of(Monitor) ->
    receive
        {'DOWN', Monitor, process, _, Reason} -> reason(Reason)
    end.

%% Waits for the end of a process.
await_end(Pid) -> end_of(monitor(process, Pid)).

%% What comes next, in a line.
next() ->
    receive
        Next -> line(Next)
    after 2000 -> "nothing"
    end.

line({'EXIT', _, Reason}) -> "exit " ++ reason(Reason);
line({'DOWN', _, process, _, Reason}) -> "down " ++ reason(Reason);
line(Word) -> io_lib:format("~p", [Word]).

%% Waits until another process says that it is ready.
ready() ->
    receive
        ready -> ok
    end.

%% Says whether anything is left in the mailbox, or still comes.
nothing() ->
    receive
        Left -> say("and ~s", [line(Left)])
    after 50 -> say("nothing more")
    end.

%% A process that takes everything and does nothing.
idle() ->
    receive
        _ -> idle()
    end.

%% Lets everything else that is ready step.
settle() -> timer:sleep(30).

%% A process that is gone.
dead() ->
    Pid = spawn(fun() -> ok end),
    await_end(Pid),
    Pid.

%% ---- how cases are run

%% The time by which a timer may be late, in milliseconds. Cases rest on longer times than that: if a run of a
%% case prints something else while the machine was busy elsewhere for longer, that says nothing. Such a run is
%% marked, and made again.
-define(LATE, 20).
%% How often that is done.
-define(TRIES, 5).

%% Compiles the programs in `Folder` into `Scratch`, runs all their cases so many times, and prints them.
main(Folder, Scratch, Times) ->
    logger:set_primary_config(level, none),
    code:add_path(Scratch),
    Files = filelib:wildcard(filename:join(Folder, "*.erl")),
    Programs = [compile(File, Scratch) || File <- lists:sort(Files)],
    Cases = [{Program, Case} || Program <- Programs, Case <- cases(Program)],
    Metronomes = metronomes(),
    Me = self(),
    Run = fun({Program, Case}) -> [run(Program, Case, Metronomes, ?TRIES) || _ <- lists:seq(1, Times)] end,
    Runners = [spawn_link(fun() -> Me ! {self(), Run(Case)} end) || Case <- Cases],
    [receive {Runner, Printed} -> io:put_chars(Printed) end || Runner <- Runners],
    io:put_chars("end\n"),
    halt(0).

compile(File, Scratch) ->
    case compile:file(File, [report, warnings_as_errors, {outdir, Scratch}]) of
        {ok, Program} -> Program;
        error -> halt(1)
    end.

cases(Program) ->
    {module, Program} = code:ensure_loaded(Program),
    lists:sort([Case || {Case, 0} <- Program:module_info(exports), lists:prefix("otp_", atom_to_list(Case))]).

run(Program, Case, Metronomes, Tries) ->
    Before = late(Metronomes),
    {Board, _} = spawn_monitor(fun() -> board(Program, Case) end),
    Lines = receive {'DOWN', _, process, Board, {printed, Printed}} -> Printed end,
    Indented = ["    " ++ Line ++ "\n" || Line <- string:lexemes(lists:flatten(Lines), "\n")],
    Print = fun(How) -> io_lib:format("~s ~s ~s~n~s", [How, Program, Case, Indented]) end,
    case late(Metronomes) of
        Before -> Print("case");
        _ when Tries =:= 1 -> Print("late");
        _ -> [Print("late"), run(Program, Case, Metronomes, Tries - 1)]
    end.

%% One process on each scheduler that counts how often it woke too late.
metronomes() ->
    [begin
        Beats = counters:new(2, []),
        spawn_opt(fun() -> beat(Beats) end, [link, {scheduler, Scheduler}]),
        Beats
    end || Scheduler <- lists:seq(1, erlang:system_info(schedulers_online))].

beat(Beats) ->
    Began = erlang:monotonic_time(millisecond),
    timer:sleep(10),
    Took = erlang:monotonic_time(millisecond) - Began,
    [counters:add(Beats, 2, 1) || Took > 10 + ?LATE],
    counters:add(Beats, 1, 1),
    beat(Beats).

%% How often metronomes were late, a beat that is under way included.
late(Metronomes) ->
    Beat = [counters:get(Beats, 1) || Beats <- Metronomes],
    lists:sum([late(Beats, Number + 1) || {Beats, Number} <- lists:zip(Metronomes, Beat)]).

late(Beats, Number) ->
    case counters:get(Beats, 1) of
        Reached when Reached >= Number -> counters:get(Beats, 2);
        _ -> timer:sleep(5), late(Beats, Number)
    end.

%% Starts a case, keeps what it prints, and leaves nothing of it behind.
board(Program, Case) ->
    group_leader(self(), self()),
    {Client, Monitor} = spawn_monitor(Program, Case, []),
    Timer = erlang:start_timer(10000, self(), gives_up),
    Lines = keep(Client, Monitor, Timer, []),
    Left = [Pid || Pid <- processes(), Pid =/= self(), {group_leader, self()} =:= process_info(Pid, group_leader)],
    [begin unlink(Pid), exit(Pid, kill), await_end(Pid) end || Pid <- Left],
    exit({printed, lists:reverse(Lines)}).

keep(Client, Monitor, Timer, Lines) ->
    receive
        {io_request, From, Reference, Request} ->
            From ! {io_reply, Reference, ok},
            keep(Client, Monitor, Timer, [text(Request) | Lines]);
        {'DOWN', Monitor, process, Client, normal} -> Lines;
        {'DOWN', Monitor, process, Client, Reason} -> [io_lib:format("the case ended: ~p~n", [Reason]) | Lines];
        {timeout, Timer, gives_up} -> ["the case did not end within ten seconds\n" | Lines]
    end.

text({put_chars, _, Characters}) -> unicode:characters_to_list(Characters);
text({put_chars, _, Module, Function, Arguments}) -> unicode:characters_to_list(apply(Module, Function, Arguments)).
