#!/usr/bin/env python3
"""stub.py LOG [OPTION...]: a child that does what it is told, speaking on its lifeline by hand. Each life writes lines "NAME INCARNATION PID EVENT" to LOG.

ready=SECONDS (0)  never  ignore  fail=TEXT  exit=N (before READY)  stop=SECONDS (0: how long a stop takes)  deaf (to STOP and TERM)
leave=SECONDS,N (after READY exits with N)  link=NAME[,trap]  orphan (a grandchild in a session of its own that ignores TERM)  flood=MEGABYTES (to stderr)"""
import os, select, signal, socket, sys, time

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
options = dict(o.split("=", 1) if "=" in o else (o, "") for o in sys.argv[2:])
name, incarnation = os.environ["TROUPE_CHILD"].rsplit(".", 1)


def note(event):
    os.write(log, ("%s %s %d %s\n" % (name, incarnation, os.getpid(), event)).encode())


def packet(field, body=b""):
    """One Control with one member: a length-delimited field of at most 127 bytes."""
    tag = field << 3 | 2
    return bytes([tag & 127 | 128, tag >> 7, len(body)]) + body


def orphan():
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)", "orphan-of-" + name])
        os._exit(0)
    os.wait()


note("start")
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=3)
line.recv(1 << 18) # Setup
if "deaf" in options:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "exit" in options:
    sys.exit(int(options["exit"]))
if "ignore" in options:
    line.send(packet(21))
    sys.exit(0)
if "fail" in options:
    text = options["fail"].encode()
    line.send(packet(22, b"\x0a" + bytes([len(text)]) + text))
    sys.exit(1)
if "never" in options:
    time.sleep(1000)
time.sleep(float(options.get("ready", 0)))
if "orphan" in options:
    orphan()
if "link" in options: # to a child's present life, perhaps trapping; before READY, so that whoever waits for it knows the link is made
    who, _, trap = options["link"].partition(",")
    line.send(packet(32, b"\x0a" + bytes([len(who)]) + who.encode() + (b"\x18\x01" if trap else b"")))
note("ready")
line.send(packet(20))
if "flood" in options:
    for _ in range(int(options["flood"])):
        os.write(2, (b"x" * 63 + b"\n") * 16384)
    os.write(2, b"the last words\n")
end = None
if "leave" in options:
    seconds, status = options["leave"].split(",")
    end = time.monotonic() + float(seconds)
while True:
    readable = select.select([line], [], [], None if end is None else max(0, end - time.monotonic()))[0]
    if not readable:
        note("leave")
        os._exit(int(status))
    message = line.recv(1 << 18)
    if not message:
        os._exit(1)
    if message[0] == 0x1a: # PING: its nonce goes back
        line.send(packet(23, message[2:2 + message[1]]))
    if message[0] == 0x3a: # DOWN
        note("down")
    if message[0] == 0x22 and "deaf" not in options:
        note("stop")
        time.sleep(float(options.get("stop", 0)))
        note("end")
        os._exit(0)
