#!/usr/bin/env python3
"""many.py BUILD [WORD...]: case 13. A hundred thousand tasks that are ready, a hundred thousand that become due in one second, many keys, and a key with many tasks.
TROUPE_LONG=1: ten million, a million keys, a million tasks of one key; TROUPE_MANY=N: another number instead of ten million."""
import os, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from measure import percentile, rss_kib, timed
from node import Node, kill, until
from stories import build, story, tap, tell_all
from wire import Wire, ask, submit, task, where

LONG = "TROUPE_LONG" in os.environ
MANY = int(os.environ.get("TROUPE_MANY", "10000000" if LONG else "100000"))
KEYS = min(MANY, 1000000 if LONG else 20000)
MEMORY = 24 * 1024 # KiB that a backlog of any length may cost
TEXT = """run_dir = "%(dir)s/run"
state_dir = "%(dir)s/state"
user = ""
queue "q" { }
queue "other" { }
queue "keys" { }
supervisor "root" {
  actor "topic:events" { }
  actor "coordinator:main" { }
  actor "front:main" { }
  pool "q" { size = 2  mode = lines  queues = {"q", "other", "keys"}  command = {"%(build)s/tests/bench/noop-lines", "256"} }
}
"""


def run(fn):
    node = Node(build, text=TEXT)
    try:
        node.start()
        return fn(node)
    finally:
        node.remove()


def queue(node, name="q"):
    return node.rows("queue", "show", name)[0]


def bulk(node, n, more=""):
    """n tasks by the tool; tasks a second."""
    path = node.dir + "/tasks"
    with open(path, "w") as f:
        for i in range(n):
            f.write('{"payload":"%d"%s}\n' % (i, more))
    with open(os.devnull, "w") as nowhere:
        began = time.monotonic()
        done = subprocess.run([node.build + "/actors/tools/troupe", "submit", "q", "--bulk", path, "-q"], stdout=nowhere, stderr=subprocess.PIPE, text=True, env=node.env)
    os.unlink(path)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return n / (time.monotonic() - began)


def drained(node, name, want, seconds):
    """Until so many are done; seconds that it took, and how long a submit beside it took at worst."""
    began, waits = time.monotonic(), []
    with Wire(where(node), hello=True, patience=60) as w:
        while queue(node, name)["done"] < want:
            if time.monotonic() - began > seconds:
                raise TimeoutError("%s: %s" % (name, queue(node, name)))
            waits += [timed(lambda: w.ask(ask(wire.SUBMIT, submit(task("other", b"x")))))[0] for _ in range(5)]
    return time.monotonic() - began, waits


def successor(node):
    """Kills the coordinator; seconds until the next one answers."""
    old = node.actors("coordinator:")[0]
    began = time.monotonic()
    kill(old)
    until(lambda: node.actors("coordinator:") not in ([], [old]) and node.troupe("ping", "coordinator:main").returncode == 0, 60, "the successor answers")
    return time.monotonic() - began


@story("case 13: a backlog of ready tasks costs neither memory nor start-up, is worked off, and a submit beside it does not wait")
def _():
    def go(node):
        node.troupe("queue", "pause", "q")
        bulk(node, 2000)
        pid = node.actors("coordinator:")[0]
        few = rss_kib(pid)
        rate = bulk(node, MANY - 2000)
        grown = rss_kib(pid) - few
        began = successor(node)
        node.troupe("queue", "resume", "q")
        took, waits = drained(node, "q", MANY, 60 + MANY / 2000)
        after = rss_kib(node.actors("coordinator:")[0]) - few
        size = os.path.getsize(node.dir + "/state/actors/coordinator/main/data.mdb")
        tap.note("%d tasks: %.0f/s in, %.0f/s out, memory +%d KiB, after it +%d KiB, %.2f s from a kill to an answer, file %d MiB, p99 of a submit beside it %.1f ms" %
                 (MANY, rate, MANY / took, grown, after, began, size >> 20, 1e3 * percentile(waits, 99)))
        check = node.troupe("check-store", "--timeout", "30m", timeout=1900)
        ok = (grown < MEMORY and after < MEMORY or node.is_sanitized()) and began < 3 and percentile(waits, 99) < 0.5
        return ok and "0 problems" in check.stdout, grown, after, began, percentile(waits, 99), check.stdout, check.stderr, node.tail()
    return run(go)


@story("case 13: tasks that all become due in one second do so in portions: others are served meanwhile, and memory stays what it was")
def _():
    def go(node):
        pid = node.actors("coordinator:")[0]
        few = rss_kib(pid)
        at = int(time.time()) + 5 + (MANY // 25000 if LONG else 0)
        rate = bulk(node, MANY, ',"run_at":"%s"' % time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)))
        waiting = queue(node)
        grown = rss_kib(pid) - few
        until(lambda: time.time() > at, 600, "they are due")
        took, waits = drained(node, "q", MANY, 60 + MANY / 2000)
        peak = rss_kib(node.actors("coordinator:")[0]) - few
        tap.note("%d tasks: %.0f/s in, due and done in %.1f s, memory +%d, then +%d KiB, p99 of a submit beside them %.1f ms, longest %.1f ms" %
                 (MANY, rate, took, grown, peak, 1e3 * percentile(waits, 99), 1e3 * max(waits)))
        ok = (grown < MEMORY and peak < MEMORY or node.is_sanitized()) and percentile(waits, 99) < 0.5
        return ok and node.actors("coordinator:") == [pid], waiting, grown, peak, percentile(waits, 99), node.tail()
    return run(go)


def keyed(node, n, key):
    """n tasks under serial keys; tasks a second."""
    began = time.monotonic()
    with Wire(where(node), hello=True, patience=60) as w:
        for at in range(0, n, 2000):
            w.ask(ask(wire.SUBMIT, submit(*[task("keys", b"%d" % i, None, (15, key(i))) for i in range(at, min(n, at + 2000))])))
    return n / (time.monotonic() - began)


@story("case 13: many keys with a task each, and one key with many: both wait without memory, and start a coordinator as fast")
def _():
    def go(node):
        pid = node.actors("coordinator:")[0]
        node.troupe("queue", "pause", "keys")
        keyed(node, 1000, lambda i: "warm %d" % i)
        few = rss_kib(pid)
        many = keyed(node, KEYS, lambda i: "key %d" % i)
        one = keyed(node, KEYS, lambda i: "the one")
        grown = rss_kib(pid) - few
        began = successor(node)
        node.troupe("queue", "resume", "keys")
        want = 1000 + KEYS + 200 # of the one key, one after the other, as many as there is time for
        took, waits = drained(node, "keys", want, 120 + KEYS / 500)
        node.troupe("queue", "pause", "keys")
        after = rss_kib(node.actors("coordinator:")[0]) - few
        cancelled = node.troupe("cancel", "--queue", "keys", "--all", "--yes", "--timeout", "20m", timeout=1300)
        left = until(lambda: queue(node, "keys")["running"] == 0 and queue(node, "keys"), 30, "what ran has ended")
        check = node.troupe("check-store", "--timeout", "30m", timeout=1900)
        tap.note("%d keys: %.0f/s in, one key: %.0f/s in; %d done in %.1f s, memory +%d, then +%d KiB, %.2f s from a kill to an answer, p99 of a submit beside them %.1f ms" %
                 (KEYS, many, one, want, took, grown, after, began, 1e3 * percentile(waits, 99)))
        ok = (grown < MEMORY and after < MEMORY or node.is_sanitized()) and began < 3 and cancelled.returncode == 0 and left["ready"] == 0 and percentile(waits, 99) < 0.5
        return ok and "0 problems" in check.stdout, grown, after, began, left, cancelled.stderr, check.stdout, check.stderr, node.tail()
    return run(go)


tell_all()
