#!/usr/bin/env python3
"""errors.py BUILD [WORD...]: case 4. System calls of each process that fail: EIO, ENOSPC, EDQUOT, EMFILE, ENOMEM, EAGAIN, short writes; on files, memory, processes, connections.
After each the node goes on by itself: what was acknowledged is done, nothing else is there. TROUPE_LONG=1: more passes of each.

A failed sync or meta page ends its process, since nobody can know what is on the disk; so does a full store, from which the supervisor starts again (HACKING.md)."""
import itertools, json, os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from node import Node, attempts, kill, soon, until
from orders import EVER, Orders
from stories import build, story, tap, tell_all
from wire import Refused, Wire, ask, receipts, submit, task, where

LONG = "TROUPE_LONG" in os.environ
PASSES = (1, 2, 3, 5, 8, 13) if LONG else (2,)
here = os.path.dirname(os.path.abspath(__file__))
ASAN = "ASAN_OPTIONS=%s:verify_asan_link_order=0" % os.environ.get("ASAN_OPTIONS", "")
TEXT = """run_dir = "%(dir)s/run"
state_dir = "%(dir)s/state"
user = ""
disk_low_water = "1M"
queue "exec" { max_attempts = 50  poison_after = 0  backoff_base = "20ms"  backoff_cap = "50ms" }
queue "lines" { max_attempts = 50  poison_after = 0  backoff_base = "20ms"  backoff_cap = "50ms" }
queue "once" { max_attempts = 1 }
queue "own" { max_attempts = 1 }
supervisor "root" {
  actor "topic:events" { immediate = 1000  backoff_cap = "100ms"  env = {PRELOAD "INJECT=%(dir)s/inject.topic"} }
  actor "coordinator:main" { immediate = 1000  backoff_cap = "100ms"  env = {PRELOAD "INJECT=%(dir)s/inject.coordinator"} }
  actor "front:main" { immediate = 1000  backoff_cap = "100ms"  env = {PRELOAD "INJECT=%(dir)s/inject.front"} }
  pool "exec" { size = 2  mode = exec  queues = {"exec", "once"}  program = "%(dir)s/worker"  immediate = 1000  backoff_cap = "100ms"  command = {"HERE/task", "%(dir)s"} }
  pool "own" { size = 1  mode = exec  queues = {"own"}  program = "%(dir)s/worker"  immediate = 1000 }
  pool "lines" { size = 1  mode = lines  queues = {"lines"}  program = "%(dir)s/worker"  immediate = 1000  backoff_cap = "100ms"  command = {"HERE/lines.py", "%(dir)s"} }
}
""".replace("HERE", here).replace("PRELOAD", '"LD_PRELOAD=%(build)s/tests/fault/libinject.so", "INJECT_PATH=%(dir)s/state", "' + ASAN + '",')
ROLES = ("topic", "coordinator", "front", "worker", "trouped")


class Faulty:
    """A node whose processes fail on order."""

    def __init__(self):
        self.node = node = Node(build, text=TEXT)
        self.orders = {role: Orders("%s/inject.%s" % (node.dir, role)) for role in ROLES}
        with open(node.dir + "/worker", "w") as f:
            f.write('#!/bin/sh\nLD_PRELOAD=%s/tests/fault/libinject.so INJECT=%s/inject.worker INJECT_PATH=%s/state %s exec %s/libexec/troupe-worker\n' % (build, node.dir, node.dir, ASAN, build))
        os.chmod(node.dir + "/worker", 0o755)
        self.env = {"LD_PRELOAD": build + "/tests/fault/libinject.so", "INJECT": node.dir + "/inject.trouped", "INJECT_PATH": node.dir + "/state", "ASAN_OPTIONS": ASAN[13:]}
        self.acknowledged = []

    def start(self):
        self.node.start(**self.env)

    def revive(self):
        """trouped may be the one that died of it."""
        if self.node.process.poll() is not None:
            self.start()

    def work(self, n=6):
        """Some tasks, submitted until they are acknowledged; they need not be done yet."""
        for queue in ("exec", "lines"):
            end = time.monotonic() + 30
            tasks = [{"payload": "0.01"}] * n
            while True:
                try:
                    self.acknowledged += self.node.submit(queue, tasks, 3)
                    break
                except (TimeoutError, RuntimeError):
                    self.revive()
                    if time.monotonic() > end:
                        raise

    def verdict(self):
        """What is broken of all that was acknowledged so far; "" where nothing is."""
        node = self.node
        if not node.wait_all(self.acknowledged, 30):
            return "not final: " + json.dumps([r for r in node.rows("list", "--limit", "0") if r["state"] not in ("done", "dead")][:3])
        rows = {row["id"]: row for row in node.rows("list", "--limit", "0")}
        problems = ["lost " + i for i in self.acknowledged if i not in rows] + [json.dumps(r) for r in rows.values() if r["state"] != "done"]
        problems += ["from nowhere " + i for i in rows if i not in set(self.acknowledged)]
        problems += ["two live attempts of " + i for what, i, _ in attempts(node) if what == "conflict"]
        check = node.troupe("check-store")
        return "\n".join(problems[:5]) + ("" if "0 problems" in check.stdout else check.stdout + check.stderr)


def sweep(faulty, role, cases):
    """Each (call, error, times) of a role, at each pass; the cases that break something, and those that were never met."""
    bad, met = [], 0
    for (call, error, times), nth in itertools.product(cases, PASSES):
        orders = faulty.orders[role]
        orders.fail(call, error, nth, times)
        name = "%s: %s of %s, pass %d, %s times" % (role, error, call, nth, times if times != EVER else "all")
        try:
            for again in range(4): # until it was met
                faulty.work(4)
                if role in ("front", "topic", "trouped") or call in ("open", "mmap", "accept", "fork", "exec", "mkdir", "pipe"):
                    poke(faulty.node, role)
                if soon(lambda: orders.hits(call), 1 if call == "meta" else 0): # a checkpoint comes behind the answers
                    break
            hits = orders.hits(call)
            orders.stop()
            faulty.revive()
            met += hits > 0
            problem = faulty.verdict()
        except (TimeoutError, RuntimeError, OSError) as e:
            hits, problem = orders.hits(call), repr(e)
            orders.stop()
            faulty.revive()
        if problem:
            bad.append((name, problem, faulty.node.tail()[-600:]))
        if not hits:
            tap.note("not met: " + name)
    return bad, met


def poke(node, role):
    """New connections, a new process of this role, something to write down: so that what only these call is called."""
    node.troupe("ping", timeout=20)
    if role in ("topic", "trouped"): # an order, a crash, an event of each
        for verb in ("stop", "start"):
            node.troupe("actor", verb, "worker:exec/2", *(["--yes"] if verb == "stop" else []), "--timeout", "5s")
        for pid in node.actors("worker:lines/1"):
            kill(pid)
    target = {"worker": "worker:exec/1", "coordinator": "coordinator:main"}.get(role)
    if target:
        node.troupe("actor", "restart", target, "--yes", "--timeout", "5s")


def run(role, cases):
    faulty = Faulty()
    try:
        faulty.start()
        faulty.work()
        if faulty.node.is_sanitized(): # which has an allocator of its own
            cases = [case for case in cases if case[0] != "malloc"]
        bad, met = sweep(faulty, role, cases)
        up = faulty.node.troupe("tree").stdout
        return not bad and met >= len(cases) * len(PASSES) * 0.7 and "failed" not in up, *[line for b in bad[:3] for line in b], met, up
    finally:
        faulty.node.remove()


STORE = [("write", "EIO", 1), ("write", "ENOSPC", 1), ("write", "EDQUOT", 2), ("write", "short", 1), ("sync", "EIO", 1), ("sync", "ENOSPC", 1),
         ("meta", "EIO", 1), ("meta", "ENOSPC", 1), ("meta", "short", 1)]


@story("case 4: the coordinator survives every error of its disk: no acknowledgement is lost, no task is done twice or comes from nowhere, and it goes on by itself")
def _():
    return run("coordinator", STORE + [("open", "EMFILE", 1), ("mmap", "ENOMEM", 1)])


@story("case 4: it survives errors of memory and of connections too")
def _():
    return run("coordinator", [("accept", "EMFILE", 5), ("accept", "ENOMEM", 2), ("accept", "ECONNABORTED", 3), ("malloc", "ENOMEM", 1), ("malloc", "ENOMEM", 40)])


@story("case 4: workers survive errors of processes, files and memory, and no attempt is burnt for what is not the task's fault")
def _():
    return run("worker", [("fork", "EAGAIN", 1), ("fork", "ENOMEM", 2), ("exec", "ENOMEM", 1), ("exec", "EMFILE", 1), ("mkdir", "ENOSPC", 1), ("mkdir", "EDQUOT", 1),
                          ("pipe", "EMFILE", 1), ("open", "EMFILE", 2), ("malloc", "ENOMEM", 3)])


@story("case 4: what the machine cannot do just now costs a task no attempt, whether it brings its command or not")
def _():
    faulty = Faulty()
    node = faulty.node
    try:
        faulty.start()
        orders, bad = faulty.orders["worker"], []
        errors = [("fork", "EAGAIN"), ("exec", "ENOMEM"), ("exec", "EMFILE"), ("exec", "EAGAIN"), ("pipe", "EMFILE"), ("mkdir", "ENOSPC")]
        for (call, error), (queue, spec) in itertools.product(errors, (("once", {"payload": "0.01"}), ("own", {"argv": ["/bin/true"]}))):
            orders.fail(call, error, 1, 1)
            ids = node.submit(queue, [spec] * 4)
            faulty.acknowledged += ids
            final = node.wait_all(ids, 30)
            rows = {row["id"]: row for row in node.rows("list", "--limit", "0")}
            wrong = [rows[i] for i in ids if rows[i]["state"] != "done" or rows[i]["attempts"] != 1]
            if not final or wrong or not orders.hits(call):
                bad.append((queue, call, error, orders.hits(call), wrong[:1]))
            orders.stop()
        return not bad, bad, node.tail()
    finally:
        node.remove()


@story("case 4: the event log survives errors of its disk, and nobody waits for it")
def _():
    return run("topic", STORE)


@story("case 4: trouped survives errors of processes, files and its disk, and loses no child over them")
def _():
    return run("trouped", [("fork", "EAGAIN", 1), ("fork", "ENOMEM", 3), ("pipe", "EMFILE", 1), ("write", "EIO", 1), ("write", "ENOSPC", 2),
                           ("sync", "EIO", 1), ("meta", "EIO", 1), ("exec", "ENOMEM", 1)])


@story("case 4: front survives errors of connections and memory")
def _():
    return run("front", [("accept", "EMFILE", 5), ("accept", "ENFILE", 2), ("malloc", "ENOMEM", 1), ("malloc", "ENOMEM", 30)])


@story("case 4: while no write gets through nothing is acknowledged, what was acknowledged can be read, and with room again all goes on without a hand")
def _():
    faulty = Faulty()
    node = faulty.node
    try:
        faulty.start()
        faulty.work(20)
        orders, bad = faulty.orders["coordinator"], []
        for error in ("ENOSPC", "EDQUOT"):
            orders.fail("write", error, 1, EVER)
            said = []
            for i in range(4):
                one = node.troupe("submit", "exec", "0", "--timeout", "300ms")
                said.append((one.returncode, one.stderr[:200]))
            if any(code == 0 for code, _ in said) or not orders.hits("write"):
                bad.append((error, "acknowledged", said))
            ids = faulty.acknowledged[:5]
            read = until(lambda: node.troupe("get", *ids, "--json", "--timeout", "2s").returncode == 0 or None, 20, "reads go on")
            orders.stop()
            began = time.monotonic()
            faulty.acknowledged += node.submit("exec", [{"payload": "0"}], 20)
            tap.note("%s: %d writes failed; %.1f s from room to the next acknowledgement" % (error, orders.hits("write"), time.monotonic() - began))
            # What was not acknowledged may be there all the same: nobody was told anything.
            there = {row["id"] for row in node.rows("list", "--limit", "0")}
            faulty.acknowledged += sorted(there - set(faulty.acknowledged))
            bad += [(error, read)] if not read else []
        problem = faulty.verdict()
        return not bad and not problem, bad, problem, node.tail()
    finally:
        node.remove()


tell_all()
