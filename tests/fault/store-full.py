#!/usr/bin/env python3
"""store-full.py BUILD [WORD...]: case 5. A store that has become as large as it may, readers that fill its table, one that stands still for minutes.
TROUPE_LONG=1: for minutes indeed."""
import os, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from measure import percentile, timed
from node import Node, until
from stories import build, story, tap, tell_all
from wire import Wire, ask, first, pack, submit, task, where

LONG = "TROUPE_LONG" in os.environ
TEXT = """run_dir = "%(dir)s/run"
state_dir = "%(dir)s/state"
user = ""
store_max = "64M"
queue "q" { result_ttl = "1h" }
supervisor "root" {
  actor "topic:events" { }
  actor "coordinator:main" { }
  actor "front:main" { }
  pool "p" { size = 2  mode = lines  queues = {"q"}  command = {"/usr/bin/python3", "%(dir)s/echo"} }
}
"""
ECHO = """import json, sys
print('{"hello":1,"max":8}', flush=True)
for line in sys.stdin:
    t = json.loads(line)
    if "task" in t:
        print(json.dumps({"done": t["task"], "result": t["payload"]}), flush=True)
"""


def run(fn):
    node = Node(build, text=TEXT)
    with open(node.dir + "/echo", "w") as f:
        f.write(ECHO)
    readers = []
    try:
        node.start()
        return fn(node, readers)
    finally:
        for r in readers:
            r.kill()
            r.wait()
        node.remove()


def read_on(node, readers, n=1):
    for _ in range(n):
        r = subprocess.Popen([build + "/tests/fault/reader", node.dir + "/state/actors/coordinator/main"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        readers.append(r)
        r.said = r.stdout.readline()
    return [r for r in readers if r.said == b"holds\n"]


def queue(node):
    return node.rows("queue", "show", "q")[0]


def fill(node, size=20000, most=6000):
    """Submits, ten at a time, until it is refused: how many were acknowledged, and the refusal."""
    with Wire(where(node), hello=True) as w:
        for n in range(0, most, 10):
            try:
                w.ask(ask(wire.SUBMIT, submit(*[task("q", b"x" * size) for _ in range(10)])))
            except wire.Refused as e:
                return n, e.args
    return most, ("", "")


def purge(node):
    """All that is done or cancelled."""
    with Wire(where(node)) as w:
        next = b""
        while True:
            answer = w.ask(ask(69, pack((2, pack((1, "q"), (2, 4), (2, 5))), *([(5, next)] if next else []))))
            next = first(answer, 3, b"")
            if not next:
                return


@story("case 5: a store that is full refuses submits by name and keeps its coordinator; completions, cancels and reads go on, and room that comes back is used")
def _():
    def go(node, readers):
        born = node.actors("coordinator:")
        node.troupe("queue", "pause", "q")
        n, (name, text) = fill(node)
        tap.note("full after %d tasks of 20,000 bytes: %s, %s" % (n, name, text))
        full = queue(node)
        bulk = fill(node)[1][0]
        node.troupe("queue", "resume", "q")
        until(lambda: queue(node)["done"] > 20 or queue(node)["running"] == 0, 20, "results are kept as long as there is room for them")
        until(lambda: queue(node)["running"] == 0, 20, "what ran has ended")
        some = [r["id"] for r in node.rows("list", "--state", "ready", "--limit", "200")]
        cancelled = node.troupe("cancel", *some, "--yes")
        left = queue(node)
        # Room: final tasks are taken away.
        for _ in range(60):
            purge(node)
            if queue(node)["ready"] + queue(node)["running"] == 0:
                break
        again = until(lambda: fill(node, most=50)[0] == 50, 30, "submits are taken again")
        same = node.actors("coordinator:") == born
        check = node.troupe("check-store")
        return name == "DISK_LOW" and bulk == "DISK_LOW" and full["ready"] == n and n > 1000 and cancelled.returncode == 0 and again and same and "0 problems" in check.stdout, \
            (name, bulk), full, left, cancelled.stderr, same, check.stdout, node.tail()
    return run(go)


@story("case 5: a reader that stands still makes the store grow and nothing wait; when it has gone its pages are used again")
def _():
    def go(node, readers):
        born = node.actors("coordinator:")
        held = read_on(node, readers)
        path = node.dir + "/state/actors/coordinator/main/data.mdb"
        took, began = [], time.monotonic()
        with Wire(where(node), hello=True) as w:
            while len(took) < 300 or (LONG and time.monotonic() - began < 180):
                took.append(timed(lambda: w.ask(ask(wire.SUBMIT, submit(task("q", b"x" * 100)))))[0])
                time.sleep(0.02 if LONG else 0)
            grown = os.path.getsize(path)
            readers[0].stdin.close()
            readers[0].wait()

            def still():
                before = os.path.getsize(path)
                for _ in range(100):
                    w.ask(ask(wire.SUBMIT, submit(task("q", b"x" * 100))))
                return os.path.getsize(path) - before < 1 << 20
            until(still, 20, "the file grows no more") # whoever died with a slot is seen within a second
        after = os.path.getsize(path)
        tap.note("%d submits, p99 %.1f ms; file %d KiB with the reader, %d KiB when it grew no more" % (len(took), 1e3 * percentile(took, 99), grown >> 10, after >> 10))
        return held and percentile(took, 99) < 0.5 and node.actors("coordinator:") == born, node.tail()
    return run(go)


@story("case 5: a table full of readers refuses the next reader, not the coordinator; those that died are swept")
def _():
    def go(node, readers):
        held = len(read_on(node, readers, 128))
        served = fill(node, 100, 50)[0]
        for r in readers[:60]: # killed, not closed: their places are taken until somebody looks
            r.kill()
            r.wait()
        node.troupe("actor", "restart", "coordinator:main", "--yes", "--timeout", "10s")
        until(lambda: node.troupe("ping", "coordinator:main").returncode == 0, 10, "the successor answers")
        later = fill(node, 100, 50)[0]
        return 100 < held < 128 and served == 50 and later == 50, held, served, later, node.tail()
    return run(go)


tell_all()
