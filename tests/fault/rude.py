#!/usr/bin/env python3
"""rude.py BUILD [WORD...]: case 7. Who does not read, who sends a byte a second, who never answers, who opens and says nothing: the others do not notice, and memory is bounded.
TROUPE_LONG=1: until the node closes the slow ones, and 4,000 of them."""
import os, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from measure import percentile, rss_kib, timed
from node import Node, kill, until
from stories import build, story, tap, tell_all
from wire import Refused, Wire, ask, pack, receipts, submit, task, where

LONG = "TROUPE_LONG" in os.environ
here = os.path.dirname(os.path.abspath(__file__))
PATIENT = 0.25 # seconds: p99 of a submit that nobody disturbs is a few ms, on a machine that is busy with other things some tens


def submits(path, n, queue="q"):
    """Seconds that each of n submits took."""
    with Wire(path, hello=True) as w:
        return [timed(lambda: w.ask(ask(wire.SUBMIT, submit(task(queue, b"polite")))))[0] for _ in range(n)]


def beside(node, annoy, n=200, most_kib=40 * 1024):
    """Normal submits before and beside something; what the coordinator's memory grew by."""
    path, pid = where(node), node.actors("coordinator:")[0]
    before, alone = rss_kib(pid), submits(path, n)
    undo = annoy(path)
    disturbed = submits(path, n)
    grown = rss_kib(pid) - before
    tap.note("p99 of a submit %.1f ms alone, %.1f ms beside; memory +%d KiB" % (percentile(alone, 99) * 1e3, percentile(disturbed, 99) * 1e3, grown))
    result = undo()
    same = node.actors("coordinator:") == [pid]
    return same and percentile(disturbed, 99) < max(PATIENT, 10 * percentile(alone, 99)) and (grown < most_kib or node.is_sanitized()) and result[0], grown, *result[1:]


def run(fn, queues='queue "q" { }', pools='  child "idle" { command = {"/bin/sleep", "1000"} }', prepare=None):
    node = Node(build, queues, pools)
    try:
        if prepare:
            prepare(node)
        node.start()
        return fn(node)
    finally:
        node.remove()


@story("case 7: subscribers that never read, to the transition log, to notices of tasks and to the event log, cost bounded memory and nobody's time")
def _():
    def go(node):
        def annoy(path):
            deaf = []
            for i in range(10):
                w = Wire(path, hello=True)
                w.send(b"".join(pack((wire.FRAME_ENVELOPES, ask(76, pack((2, 1000), (3, 60000))))) for _ in range(100))) # log_ask with follow
                deaf.append(w)
            for i in range(10):
                w = Wire(path, hello=True)
                for _ in range(10): # with notice of each end; they all end at once, cancelled, and nobody reads
                    w.send(pack((wire.FRAME_ENVELOPES, ask(wire.SUBMIT, submit(*[task("q", b"n") for _ in range(300)]) + pack((2, 1))))))
                deaf.append(w)
            for i in range(10):
                w = Wire(where(node, "topic:events"), hello=True)
                w.send(b"".join(pack((wire.FRAME_ENVELOPES, ask(122, pack((2, 1000), (3, 60000))))) for _ in range(100)))
                deaf.append(w)
            node.troupe("cancel", "--queue", "q", "--all", "--yes")

            def undo():
                for w in deaf:
                    w.close()
                return node.troupe("check-store").returncode == 0, ""
            return undo
        return beside(node, annoy, most_kib=20 * 8 * 1024 + 20 * 1024)
    return run(go)


@story("case 7: clients that ask for a great deal and never read are closed, not fed from memory")
def _():
    def go(node):
        with Wire(where(node), hello=True) as w:
            ids = [receipts(w.ask(ask(wire.SUBMIT, submit(task("q", bytes(65000))))))[0][0] for _ in range(10)]

        def annoy(path):
            deaf = []
            for _ in range(8):
                w = Wire(path, hello=True)
                try:
                    for i in range(1000): # 65 MB each
                        w.send(pack((wire.FRAME_ENVELOPES, ask(wire.GET, pack((1, pack((1, ids[i % 10]))), (2, 1))))))
                except OSError:
                    pass # closed, or its own output is full
                deaf.append(w)

            def undo():
                for w in deaf:
                    w.close()
                return True, ""
            return undo
        # Unsent output is at most 8 MiB a connection, and a frame that has begun.
        return beside(node, annoy, most_kib=8 * 10 * 1024 + 20 * 1024)
    return run(go)


@story("case 7: connections that say nothing, half a greeting, or a byte now and then, keep nobody out; in the long form they are closed when their time is over")
def _():
    def go(node):
        over = threading.Event()

        def annoy(path):
            slow = [Wire(path, greet=False) for _ in range(300)]             # not a word
            half = [Wire(path, greet=False) for _ in range(100)]             # half a greeting
            drip = [Wire(path) for _ in range(100)]                          # a frame, a byte at a time
            idle = [Wire(path, hello=True) for _ in range(3500 if LONG else 300)] # greeted, and silent: that is allowed
            frame = wire.framed(pack((wire.FRAME_ENVELOPES, ask(wire.SUBMIT, submit(task("q", b"drop by drop"))))))
            for w in half:
                w.socket.sendall(wire.GREETING[:3])

            def dripping():
                at = 0
                while not over.wait(1 if LONG else 0.05) and at < len(frame) - 1:
                    for w in drip:
                        try:
                            w.socket.send(frame[at:at + 1])
                        except OSError:
                            pass
                    at += 1
            t = threading.Thread(target=dripping)
            t.start()

            def undo():
                began = time.monotonic()
                still = [w for w in slow + half if not w.is_closed(15 if LONG else 8)]
                greeting = time.monotonic() - began
                dripped = [w for w in drip if LONG and not w.is_closed(45)]
                over.set()
                t.join()
                served = [w for w in idle[:20] if not answers_ping(w)]
                for w in slow + half + drip + idle:
                    w.close()
                return not still and not dripped and not served, len(still), len(dripped), len(served), greeting
            return undo
        return beside(node, annoy, most_kib=(4000 if LONG else 800) * 24 + 10 * 1024)

    def answers_ping(w):
        try:
            w.ask(ask(wire.PING, b""))
            return True
        except (Refused, OSError, EOFError):
            return False
    return run(go)


@story("case 7: a worker that takes tasks and never says a word holds up no other worker; when it is killed its tasks go to the others")
def _():
    def go(node):
        given = lambda: os.path.exists(node.dir + "/given") and open(node.dir + "/given").read().count("given")
        until(lambda: len(node.rows("workers")) == 2, 10, "both workers are there")

        def annoy(path):
            node.submit("q", [{"payload": "x"} for _ in range(500)])
            until(given, 10, "the silent worker was given something")

            def undo():
                # Of what the silent one has not begun, nobody can know; everything else is done by the other.
                until(lambda: node.rows("queue", "show", "q")[0]["done"] >= 900 - 64 - 16, 60, "the other worker does the rest")
                held = node.rows("queue", "show", "q")[0]["running"]
                kill([p for p, n in node.family().items() if n.startswith("worker:raw")][0])
                raw = until(lambda: node.rows("queue", "show", "q")[0], 10, "the queue")
                stopped = node.troupe("actor", "stop", "worker:raw/1", "--yes")
                until(lambda: node.rows("queue", "show", "q")[0]["done"] == 900, 60, "all is done, what it held too")
                return given() == 64 and held <= 64 + 16 and stopped.returncode == 0, held, raw
            return undo
        return beside(node, annoy)
    pools = '  pool "good" { size = 1  mode = exec  queues = {"q"}  command = {"/bin/true"} }\n' + \
            '  pool "raw" { size = 1  spares = 0  mode = exec  queues = {"q"}  program = "%(dir)s/raw"  command = {"/bin/true"} }'
    return run(go, pools=pools, prepare=script)


def script(node):
    """A worker's program is run without arguments."""
    with open(node.dir + "/raw", "w") as f:
        f.write("#!/bin/sh\nexec %s %s/raw.py %s/given 64\n" % (sys.executable, here, node.dir))
    os.chmod(node.dir + "/raw", 0o755)


# A process of its own, which may be silent for a quarter of an hour.
GUEST = """import os, sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from wire import ATTACH, FRAME_ENVELOPES, Wire, ask, pack
w = Wire(sys.argv[2], hello=True)
w.send(pack((FRAME_ENVELOPES, ask(ATTACH, pack((2, "q"), (4, 16), (7, "attached"), (11, os.urandom(16)), (12, 900000))))))
sys.stdin.read()
"""


@story("case 7: workers from outside that take tasks and never say a word, or never read, lose them when their time or their connection is over, and hold up nobody")
def _():
    def go(node):
        def annoy(path):
            guests = []
            for _ in range(2):
                w = Wire(path, hello=True)
                w.send(pack((wire.FRAME_ENVELOPES, ask(wire.ATTACH, pack((2, "q"), (4, 16), (7, "attached"), (11, os.urandom(16)), (12, 1000))))))
                guests.append(w)
            other = subprocess.Popen([sys.executable, "-c", GUEST, here, path], stdin=subprocess.PIPE)
            until(lambda: len(node.rows("workers")) == 4, 10, "all are there")
            node.submit("q", [{"payload": "x", "max_attempts": 20} for _ in range(300)])

            def undo():
                held = until(lambda: [r for r in [node.rows("queue", "show", "q")[0]] if r["done"] >= 700 - 16], 60, "all but what one holds who need not say a word")[0]
                other.kill()
                other.wait()
                until(lambda: node.rows("queue", "show", "q")[0]["done"] == 700, 30, "the rest, when it has gone")
                for w in guests[:2]:
                    w.close()
                return held["running"] <= 16, held
            return undo
        return beside(node, annoy)
    return run(go, queues='queue "q" { backoff_base = "10ms" }', pools='  pool "good" { size = 1  mode = exec  queues = {"q"}  command = {"/bin/true"} }')


@story("case 7: a lines program that takes tasks and never answers is killed at their timeout, and what it held is dead by name")
def _():
    def go(node):
        with open(node.dir + "/mute", "w") as f:
            f.write('import sys, json\nprint(json.dumps({"hello": 1, "max": 16}), flush=True)\nfor line in sys.stdin: pass\n')
        ids = node.submit("mute", [{"payload": "x", "max_attempts": 1} for _ in range(16)])
        other = node.submit("q", [{"payload": "x"} for _ in range(20)])
        well = node.wait_all(other, 20)
        ended = node.wait_all(ids, 40)
        rows = {row["id"]: row for row in node.rows("list", "--limit", "0")}
        states = {rows[i]["state"] for i in ids}
        return well and ended and states == {"dead"} and "timeout" in node.troupe("dlq", "show", ids[0]).stdout, states, node.troupe("dlq", "show", ids[0]).stdout
    return run(go, queues='queue "q" { }\nqueue "mute" { timeout = "1s"  grace = "200ms"  max_attempts = 1 }',
               pools='  pool "good" { size = 1  mode = exec  queues = {"q"}  command = {"/bin/true"} }\n'
                     '  pool "mute" { size = 1  mode = lines  queues = {"mute"}  command = {"/usr/bin/python3", "%(dir)s/mute"} }')


tell_all()
