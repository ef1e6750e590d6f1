%% OTP's supervisor over one external program behind a port. Prints "ready PID" when the program has said its first bytes.
-module(otp_port).
-export([main/1, init/1, start_link/1, handle_info/2, handle_call/3, handle_cast/2]).

main([Program]) ->
    process_flag(trap_exit, true),
    logger:set_primary_config(level, none),
    {ok, _} = supervisor:start_link(?MODULE, {tree, Program}),
    receive never -> ok end.

start_link(Program) -> gen_server:start_link(?MODULE, {port, Program}, []).

init({tree, Program}) ->
    {ok, {#{strategy => one_for_one, intensity => 1000000, period => 1}, [#{id => program, start => {?MODULE, start_link, [Program]}}]}};
init({port, Program}) ->
    Port = open_port({spawn_executable, Program}, [exit_status, binary]),
    receive {Port, {data, _}} -> ok end,
    {os_pid, Pid} = erlang:port_info(Port, os_pid),
    io:format("ready ~b~n", [Pid]),
    {ok, Port}.

handle_info({Port, {exit_status, _}}, Port) -> {stop, killed, Port};
handle_info(_, Port) -> {noreply, Port}.
handle_call(_, _, Port) -> {reply, ok, Port}.
handle_cast(_, Port) -> {noreply, Port}.
