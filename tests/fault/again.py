#!/usr/bin/env python3
"""again.py BUILD [WORD...]: cases 14 and 15. Workers that die as soon as they begin, all of them at once, a coordinator that is killed while it recovers, a node that is stopped in order
and started again with everything under way. TROUPE_LONG=1: a hundred times."""
import collections, os, signal, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from measure import cpu_seconds
from node import Node, attempts, kill, until
from stories import build, story, tap, tell_all
from wire import Wire, ask, pack, submit, task, where

LONG = "TROUPE_LONG" in os.environ
ROUNDS = 100 if LONG else 10
here = os.path.dirname(os.path.abspath(__file__))
ATTEMPTS = 5 * ROUNDS # a task can be in work at each of the deaths
QUEUES = ('queue "exec" { max_attempts = %d  poison_after = 0  backoff_base = "20ms"  backoff_cap = "50ms" }\n'
          'queue "lines" { max_attempts = %d  poison_after = 0  backoff_base = "20ms" }\nqueue "bad" { }') % (ATTEMPTS, ATTEMPTS)
POOLS = '  pool "exec" { size = 3  mode = exec  queues = {"exec"}  command = {"' + here + '/task", "%(dir)s"} }\n' + \
        '  pool "lines" { size = 3  mode = lines  queues = {"lines"}  command = {"' + here + '/lines.py", "%(dir)s"} }'
HEAD = 'run_dir = "%(dir)s/run"\nstate_dir = "%(dir)s/state"\nuser = ""\nstop_timeout = "10s"\n' + QUEUES + '\nsupervisor "root" {\n  actor "topic:events" { }\n'


def run(fn, pools=POOLS, coordinator='  actor "coordinator:main" { }\n', start=True):
    node = Node(build, text=HEAD + coordinator + '  actor "front:main" { }\n' + pools + "\n}\n")
    try:
        if start:
            node.start()
        return fn(node)
    finally:
        node.remove()


def chain(node, n):
    """So many tasks, each of which waits for the one before."""
    made = [wire.new_id() for _ in range(n)]
    with Wire(where(node)) as w:
        w.ask(ask(wire.SUBMIT, submit(*[task("lines", b"0.1", id, *([(17, pack((1, made[i - 1])))] if i else [])) for i, id in enumerate(made)])))
    return [wire.shown(id) for id in made]


def begun(node):
    return sum(what == "start" for what, _, _ in attempts(node)) if os.path.exists(node.dir + "/attempts") else 0


def verdict(node, ids, seconds=60):
    if not node.wait_all(ids, seconds):
        return "not final"
    rows = {row["id"]: row for row in node.rows("list", "--limit", "0")}
    wrong = [rows.get(i, "lost " + i) for i in ids if i not in rows or rows[i]["state"] != "done"]
    wrong += ["two live attempts of " + i for what, i, _ in attempts(node) if what == "conflict"] + (["%d rows" % len(rows)] if len(rows) != len(ids) else [])
    ended = collections.defaultdict(set)
    for what, id, token in attempts(node):
        if what == "end":
            ended[id].add(token)
    for at in range(0, len(ids), 500):
        some = ids[at:at + 500]
        for id, line in zip(some, node.troupe("result", *some).stdout.split("\n")):
            if line != "%s %s" % (id, rows[id]["token"]) or str(rows[id]["token"]) not in ended[id]:
                wrong.append(("result", id, line, rows[id]["token"]))
    check = node.troupe("check-store")
    return str(wrong[:3]) if wrong else "" if "0 problems" in check.stdout else check.stdout + check.stderr


@story("case 14: a pool whose workers die as soon as they begin is slowed down and named, costs its tasks no attempt, and takes nothing from the pool beside it")
def _():
    def go(node):
        with open(node.dir + "/dies", "w") as f:
            f.write("#!/bin/sh\n[ -e %s/healed ] || kill -9 $$\nexec %s/libexec/troupe-worker\n" % (node.dir, build))
        os.chmod(node.dir + "/dies", 0o755)
        open(node.dir + "/healed", "w").close() # the node must come up
        node.start()
        os.unlink(node.dir + "/healed")
        for pid in node.actors("worker:bad"):
            kill(pid)
        for pid in [p for p, name in node.family().items() if name.startswith("spare:worker:bad")]:
            kill(pid)
        waiting = node.submit("bad", [{"payload": "0"}] * 20)
        used, began = cpu_seconds(node.process.pid), time.monotonic()
        ids = []
        while time.monotonic() - began < (30 if LONG else 3):
            ids += node.submit("exec", [{"payload": "0.01"}] * 5)
            node.wait_all(ids[-5:], 10)
        share = (cpu_seconds(node.process.pid) - used) / (time.monotonic() - began)
        starts = open(node.log, errors="replace").read().count("child=worker:bad/1")
        why = node.troupe("explain", waiting[0]).stdout
        rows = [r for r in node.rows("list", "--limit", "0") if r["id"] in set(waiting)]
        state = [r for r in node.rows("tree") if r["actor"] == "worker:bad/1"][0]
        open(node.dir + "/healed", "w").close()
        node.troupe("actor", "start", "worker:bad/1")
        well = node.wait_all(waiting, 60)
        problem = verdict(node, ids + waiting)
        tap.note("%d lines about the worker, trouped used %.3f of a processor, %d tasks beside it; %s" % (starts, share, len(ids), state["state"]))
        ok = well and not problem and starts < 150 and share < (0.2 if not node.is_sanitized() else 1) and all(r["attempts"] == 0 for r in rows) and len(ids) > 20
        return ok and state["state"] in ("backoff", "starting", "failed") and "worker" in why, problem, starts, share, why, rows[:2], state
    return run(go, start=False, pools=POOLS + '\n  pool "bad" { size = 1  spares = 0  mode = exec  queues = {"bad"}  program = "%(dir)s/dies"  backoff_cap = "2s"  command = {"' +
               here + '/task", "%(dir)s"} }')


@story("case 14: all workers killed at once, again and again, cost nothing but the time of their tasks")
def _():
    def go(node):
        ids = []
        for _ in range(ROUNDS):
            before = begun(node)
            ids += node.submit("exec", [{"payload": "0.05"}] * 6) + node.submit("lines", [{"payload": "0.05"}] * 12)
            until(lambda: begun(node) > before, 20, "work goes on")
            for pid in node.actors("worker:"):
                kill(pid)
        problem = verdict(node, ids)
        return not problem, problem, node.tail()
    # A hundred rounds would wait for half a minute each.
    return run(go, pools=POOLS.replace("size = 3", 'size = 3  backoff_cap = "500ms"') if LONG else POOLS)


@story("case 14: many deaths in one turn of trouped, each of which leaves a task's family behind, are told one by one, and trouped lives")
def _():
    def go(node):
        ids = []
        for _ in range(ROUNDS // 2):
            before = begun(node)
            ids += node.submit("exec", [{"payload": "0.3"}] * 30)
            until(lambda: begun(node) >= before + 10, 20, "work goes on")
            kill(node.process.pid, signal.SIGSTOP)
            for pid in node.actors("worker:"):
                kill(pid)
            kill(node.process.pid, signal.SIGCONT)
            until(lambda: node.process.poll() is not None or node.troupe("ping").returncode == 0, 10, "trouped answers")
            if node.process.poll() is not None:
                return False, "trouped has died", node.process.poll(), node.tail()
        problem = verdict(node, ids)
        return not problem, problem, node.tail()
    return run(go, pools=POOLS.replace("size = 3  mode = exec", "size = 24  mode = exec"))


@story("case 14: a coordinator that is killed while it recovers, time after time, recovers in the end, and all that was acknowledged is done")
def _():
    def go(node):
        # At both points of its recovery, and behind its first commit, in every one of so many lives.
        points = "recover.after_open", "recover.after_monitor", "turn.after_begin", "turn.before_commit", "turn.after_commit"
        node.start()
        ids = node.submit("exec", [{"payload": "0.02"}] * 20) + node.submit("lines", [{"payload": "0.02"}] * 20) + node.submit("lines", [{"payload": "0", "delay": "1s"}] * 5)
        node.kill_everything()
        deaths = 0
        for i in range(ROUNDS):
            node.start(wait=False, TROUPE_FAULT="coordinator/%s:1" % points[i % len(points)])
            want = deaths + 5
            dead = lambda: open(node.log, errors="replace").read().count("child=coordinator:main") # its downs and failed starts
            until(lambda: dead() >= want or node.process.poll() is not None, 20, "it dies of it")
            deaths = dead()
            node.kill_everything()
        node.start()
        problem = verdict(node, ids)
        tap.note("%d rounds, %d lines of its deaths" % (ROUNDS, deaths))
        return not problem and deaths >= ROUNDS, problem, deaths, node.tail()
    return run(go, start=False)


@story("case 15: a node that is stopped in order and started again, with tasks in work, queued, delayed and chained, goes on with all of them, and the stop burns no attempt")
def _():
    def go(node):
        ids, statuses = [], []
        for i in range(ROUNDS if LONG else 3):
            running = node.submit("exec", [{"payload": "1.5"}] * 3)
            queued = node.submit("exec", [{"payload": "0.01"}] * 10) + node.submit("lines", [{"payload": "0.2"}] * 20)
            delayed = node.submit("lines", [{"payload": "0", "delay": "2s"}] * 5)
            until(lambda: [r for r in node.rows("list", "--limit", "100") if r["state"] == "running"], 10, "work goes on")
            ids += running + queued + delayed + chain(node, 8)
            statuses.append(node.stop())
            left = node.family()
            for pid in left: # nobody may be: that is the next line
                kill(pid)
            statuses.append(len(left))
            node.start()
        problem = verdict(node, ids)
        worst = max(r["attempts"] for r in node.rows("list", "--limit", "0"))
        lost = [e for e in node.rows("list", "--limit", "0") if e["attempts"] > 1]
        return not problem and set(statuses) == {0} and worst == 1, problem, statuses, lost[:2], node.tail()
    return run(go, pools=POOLS.replace("size = 3", 'size = 3  drain_timeout = "200ms"'))


tell_all()
