%% Runs the Erlang programs of this folder, and prints what each of their cases prints.
%%
%% A case is an exported function `otp_NN_…/0`. It runs in a process of its own; whatever it and the processes
%% that it starts print goes to its group leader, which keeps the lines until the case returns. Cases of one
%% program run one after another, programs run side by side.
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
        {'EXIT', _, Reason} -> "exit " ++ reason(Reason);
        {'DOWN', _, process, _, Reason} -> "down " ++ reason(Reason);
        Word when is_atom(Word) -> atom_to_list(Word)
    after 2000 -> "nothing"
    end.

%% Waits until another process says that it is ready.
ready() ->
    receive
        ready -> ok
    end.

%% Says whether anything is left in the mailbox, or still comes.
nothing() ->
    receive
        Left -> say("and ~p", [Left])
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

%% Compiles the programs in `Folder` into `Scratch`, runs all their cases so many times, and prints them.
main(Folder, Scratch, Times) ->
    logger:set_primary_config(level, none),
    code:add_path(Scratch),
    Files = filelib:wildcard(filename:join(Folder, "*.erl")),
    Programs = [compile(File, Scratch) || File <- lists:sort(Files)],
    Me = self(),
    Runners = [spawn_link(fun() -> Me ! {self(), run(Program, Times)} end) || Program <- Programs],
    [receive {Runner, Printed} -> io:put_chars(Printed) end || Runner <- Runners],
    io:put_chars("end\n"),
    halt(0).

compile(File, Scratch) ->
    case compile:file(File, [report, warnings_as_errors, {outdir, Scratch}]) of
        {ok, Program} -> Program;
        error -> halt(1)
    end.

run(Program, Times) ->
    code:ensure_loaded(Program),
    Cases = [Case || {Case, 0} <- Program:module_info(exports), lists:prefix("otp_", atom_to_list(Case))],
    [run_case(Program, Case) || _ <- lists:seq(1, Times), Case <- lists:sort(Cases)].

run_case(Program, Case) ->
    {Board, _} = spawn_monitor(fun() -> board(Program, Case) end),
    receive
        {'DOWN', _, process, Board, {printed, Lines}} ->
            Indented = ["    " ++ Line ++ "\n" || Line <- string:lexemes(lists:flatten(Lines), "\n")],
            io_lib:format("case ~s ~s~n~s", [Program, Case, Indented])
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
