#!/usr/bin/env python3
"""poison.py BUILD [WORD...]: case 12. Tasks of an exec pool that do everything a program should not. Each ends as what it is, nothing of it is left alive, and the pool goes on.
TROUPE_LONG=1: ten gigabytes of output, and all of it several times at once."""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from measure import rss_kib, state
from node import Node, until
from stories import build, story, tap, tell_all
from wire import Wire, ask, first, pack, shown, task, where

LONG = "TROUPE_LONG" in os.environ
OUTPUT = "10G" if LONG else "300M"
PROCESSES = 150 # of a fork bomb: bounded, for it is our machine too
TEXT = """run_dir = "%(dir)s/run"
state_dir = "%(dir)s/state"
user = ""
queue "q" { max_attempts = 2  backoff_base = "10ms"  jitter = 0  timeout = "TIMEOUT"  grace = "300ms"  poison_after = 3 }
queue "crash" { max_attempts = 20  backoff_base = "10ms"  jitter = 0  poison_after = 3 }
supervisor "root" {
  actor "topic:events" { }
  actor "coordinator:main" { }
  actor "front:main" { }
  pool "q" { size = 3  mode = exec  queues = {"q", "crash"}  LIMIT }
}
""".replace("TIMEOUT", "120s" if LONG else "20s")
PYTHON = sys.executable
BOMB = "import os, time\nfor i in range(%d):\n    if os.fork() == 0:\n        i %% 3 == 0 and os.setsid()\n        time.sleep(1000)\n" % PROCESSES
# 128 that ignore TERM, each after a setsid.
TREE = "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nfor i in range(7):\n    if os.fork() == 0:\n        os.setsid()\ntime.sleep(1000)\n"
DAEMON = """import os, sys, time
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in (0, 1, 2):
            os.close(fd)
        os.write(w, b"x")
        time.sleep(1000)
    os._exit(0)
os.read(r, 1)
print("it lives on")
"""

# name: queue, timeout in ms, command, what must be of it: state, class of its last attempt, attempts, its result where it matters
TASKS = {
    "a crash": ("crash", 0, ["/bin/sh", "-c", "kill -SEGV $$"], "dead", ("signal", "core"), 3, None),
    "too much memory": ("q", 0, [PYTHON, "-c", "bytearray(8 << 30)"], "dead", ("failed",), 2, None),
    "a fork bomb": ("q", 0, [PYTHON, "-c", BOMB], "done", ("done",), 1, b""),
    "a tree of deaf processes": ("q", 700, [PYTHON, "-c", TREE], "dead", ("timeout",), 2, None),
    "deafness to TERM": ("q", 300, ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], "dead", ("timeout",), 2, None),
    "a stop of itself": ("q", 300, ["/bin/sh", "-c", "kill -STOP $$"], "dead", ("timeout",), 2, None),
    "output without end": ("q", 0, ["/bin/sh", "-c", "head -c %s /dev/zero" % OUTPUT], "done", ("done",), 1, bytes(65536)),
    "errors without end": ("q", 0, ["/bin/sh", "-c", "head -c 200M /dev/zero >&2; echo the end >&2; exit 1"], "dead", ("failed",), 2, None),
    "closed descriptors": ("q", 0, ["/bin/sh", "-c", "exec 0<&- 1>&- 2>&-; sleep 0.2"], "done", ("done",), 1, b""),
    "a daemon": ("q", 0, [PYTHON, "-c", DAEMON], "done", ("done",), 1, b"it lives on\n"),
    "a child that keeps the output open": ("q", 0, ["/bin/sh", "-c", "echo early; sleep 1000 & exit 0"], "done", ("done",), 1, b"early\n"),
    "nothing": ("q", 0, ["/bin/true"], "done", ("done",), 1, b""),
    "bytes that are no text": ("q", 0, ["/bin/sh", "-c", "printf '\\377\\000\\376'"], "done", ("done",), 1, b"\xff\x00\xfe"),
    "a program that is not there": ("q", 0, ["/no/such/program"], "dead", ("failed", "broken"), 2, None),
}


def submit_all(node, repeat):
    """{id: name of its poison}; a healthy task between any two."""
    made, healthy = {}, []
    with Wire(where(node), hello=True) as w:
        for _ in range(repeat):
            for name, (queue, timeout, argv, *_) in TASKS.items():
                ill, well = wire.new_id(), wire.new_id()
                w.ask(ask(wire.SUBMIT, pack((1, task(queue, b"", ill, *[(5, a) for a in argv], *([(10, timeout)] if timeout else []))), (1, task("q", b"", well, (5, "/bin/echo"), (5, "healthy"))))))
                made[shown(ill)] = name
                healthy.append(shown(well))
    return made, healthy


def alive(ids):
    """Processes of these tasks, by what they have in their environment, wherever they have fled to."""
    marks, found = {("TROUPE_TASK=" + i).encode() for i in ids}, []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/environ" % pid, "rb") as f:
                if marks & set(f.read().split(b"\0")) and state(pid) != "Z":
                    found.append(int(pid))
        except OSError:
            pass
    return found


def output(w, id):
    """Its result, and whether it was cut."""
    got = first(w.ask(ask(wire.GET, pack((1, pack((3, id[-20:]))), (3, 1)))), 1)
    outcome = first(got, 15, b"")
    return first(outcome, 6, b""), first(outcome, 7, 0)


def wrong_with(row, name, out):
    _, _, _, state, classes, attempts, result = TASKS[name]
    wrong = []
    if row["state"] != state or row["attempts"] != attempts or row["exit_class"] not in classes:
        wrong.append((name, row))
    if result is not None and (out[0] != result or bool(out[1]) != (name == "output without end")):
        wrong.append((name, out[0][:50], len(out[0]), out[1]))
    return wrong


@story("case 12: a crash, hunger for memory, fork bombs, deafness, floods of output, closed descriptors, daemons, silence: each ends as what it is, nothing of it lives on, and the pool goes on")
def _():
    node = Node(build, text=TEXT.replace("LIMIT", "" if b"libasan" in open(build + "/supervisor/trouped", "rb").read() else 'rlimit_as = "4G"'))
    try:
        node.start()
        if node.is_sanitized(): # no limit of memory then
            del TASKS["too much memory"]
        workers = until(lambda: len(node.actors("worker:")) >= 3 and node.actors("worker:"), 10, "the workers")
        memory = {pid: rss_kib(pid) for pid in workers}
        began = time.monotonic()
        made, healthy = submit_all(node, 3 if LONG else 1)
        most = until(lambda: len(alive(made)) > 20 and len(alive(made)), 30, "there are many of them")
        final = node.wait_all(list(made) + healthy, 600 if LONG else 60)
        took = time.monotonic() - began
        rows = {row["id"]: row for row in node.rows("list", "--limit", "0")}
        with Wire(where(node)) as w:
            wrong = [x for id, name in made.items() for x in wrong_with(rows[id], name, output(w, id))]
        well = [rows[i] for i in healthy if rows[i]["state"] != "done"]
        left = alive(made)
        grown = max([rss_kib(pid) - memory[pid] for pid in workers if os.path.exists("/proc/%d" % pid)], default=0)
        restarts = [r for r in node.rows("tree") if r["restarts"]]
        broken = [r for r in node.rows("workers") if r.get("broken")]
        tap.note("%d tasks, %d healthy ones between them, %.1f s; %d processes at some moment; the largest worker grew by %d KiB" % (len(made), len(healthy), took, most, grown))
        dead = node.troupe("dlq", "show", [i for i, n in made.items() if n == "a crash"][0]).stdout
        ok = final and not wrong and not well and not left and not restarts and not broken and "poison" in dead and (grown < 16 * 1024 or node.is_sanitized())
        return ok and "0 problems" in node.troupe("check-store").stdout, wrong[:4], well[:2], "alive", left, restarts, broken, grown, dead, node.tail()
    finally:
        node.remove()


tell_all()
