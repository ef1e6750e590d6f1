#!/usr/bin/env python3
"""raw.py LOG SLOTS: a worker that speaks both planes by hand, takes what it is given, and never says a word about it. Each task that it is given is a line in LOG."""
import os, select, socket, sys
sys.dont_write_bytecode = True # the environment of a node does not say so
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import ATTACH, FRAME_ENVELOPES, FRAME_HELLO, RUN, WHEREIS, Wire, ask, first, pack, unpack

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=3)
setup = first(line.recv(1 << 18), 2)
address, incarnation, run_dir = first(setup, 1), first(setup, 2), first(setup, 5).decode()
queues = [value for number, value in unpack(first(setup, 21)) if number == 5]
line.send(pack((20, b"")))
wire = None


def attach():
    with Wire(run_dir + "/front") as w:
        path = first(w.ask(ask(WHEREIS, pack((1, "coordinator:main")))), 4, b"").decode()
    w = Wire(path)
    w.send(pack((FRAME_HELLO, pack((1, 1), (2, address), (3, incarnation), (5, 1000)))))
    w.frame()
    w.send(pack((FRAME_ENVELOPES, pack((9, 4), (ATTACH, pack((1, "raw"), *[(2, q) for q in queues], (4, int(sys.argv[2])), (7, "exec")))))))
    w.socket.setblocking(False)
    return w


def hear():
    global wire
    try:
        more = wire.socket.recv(1 << 20)
    except BlockingIOError:
        return
    wire.have += more
    if not more:
        wire = None
        return
    while wire and len(wire.have) >= 9:
        n = int.from_bytes(wire.have[1:9], "big")
        if len(wire.have) < 9 + n:
            return
        frame, wire.have = wire.have[9:9 + n], wire.have[9 + n:]
        for envelope in (v for number, v in unpack(frame) if number == FRAME_ENVELOPES):
            run = first(envelope, RUN, b"")
            os.write(log, b"given\n" * sum(number == 1 for number, _ in unpack(run)))


while True:
    if not wire:
        try:
            wire = attach()
        except (OSError, EOFError):
            pass
    ready = select.select([line] + ([wire.socket] if wire else []), [], [], 0.1)[0]
    if line in ready:
        packet = line.recv(1 << 18)
        if not packet or first(packet, 4) is not None: # STOP
            os._exit(0)
        if first(packet, 3) is not None: # PING
            line.send(pack((23, first(packet, 3))))
    if wire and wire.socket in ready:
        hear()
