#!/usr/bin/env python3
"""sweep.py BUILD [NTH]: a process of the node dies at each named point, at its first, second, ... NTH pass; the node recovers and the queue keeps its promises.

The points are those of common/base/fault.c. Each round runs a small mixed load (done, failing once, delayed, cancelled, exec and lines, small and large) on a fresh node, in which one point is armed for
one death. Afterwards: the point was hit; every acknowledged task is final, in the state that it must have; none came from nowhere; none had two live
attempts; results are of the attempt that the ledger names; the ledger fits itself."""
import collections, os, re, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, Tap, attempts, kill, until

build = os.path.abspath(sys.argv[1])
most = int(sys.argv[2]) if len(sys.argv) > 2 else 1
here = os.path.dirname(os.path.abspath(__file__))
tap = Tap()

ROLE = {"submit": "coordinator", "dispatch": "coordinator", "complete": "coordinator", "attach": "coordinator", "cron": "coordinator", "blob": "coordinator", "recover": "coordinator", "worker": "worker", "spawn": "trouped",
        "down": "trouped", "order": "trouped"}
PASSES = {"recover": 1, "log.after_replay": 1, "checkpoint": 2, "order": 2, "cron": 1, "blob": 1} # of one process: it recovers once in its life, and that is short; the load holds two orders, a run of a cron entry and a large payload
QUEUES = 'queue "exec" { max_attempts = 20  poison_after = 0  backoff_base = "20ms" }\nqueue "lines" { max_attempts = 20  poison_after = 0  backoff_base = "20ms" }'
POOLS = '  pool "exec" { size = 2  mode = exec  queues = {"exec"}  command = {"' + here + '/task", "%(dir)s"} }\n' + \
        '  pool "lines" { size = 1  mode = lines  queues = {"lines"}  command = {"' + here + '/lines.py", "%(dir)s"} }'


def names():
    text = open(os.path.join(here, "../../common/base/fault.c")).read()
    return [name for name in re.findall(r'^\t"([a-z]+\.[a-z_]+)",$', text, re.M) if not name.startswith(("backup.", "restore."))] # those are the tool's


def drive(node, spec, once):
    """The load. trouped is started again when it is the one that dies."""
    env = {"TROUPE_FAULT": spec, "TROUPE_FAULT_ONCE": once}

    def alive():
        if node.process.poll() is not None:
            node.start(**env)

    if not node.start(wait=False, **env):
        pass
    until(lambda: alive() or node.troupe("ping").returncode == 0, 20, "the node answers")

    def resilient(fn):
        def attempt():
            alive()
            try:
                return fn() or True
            except (RuntimeError, TimeoutError):
                return None
        return until(attempt, 40, spec)

    def beat(): # a run of an entry may not be asked for twice, so what became of it is looked at first
        node.troupe("--timeout", "2s", "cron", "add", "beat", "0 0 1 1 *", "exec", "0.01")
        for entry in node.rows("cron", "list"):
            if entry["submitted"]:
                return [entry["last_task"]]
            node.troupe("--timeout", "2s", "cron", "run", "beat")
        raise RuntimeError("the entry has not run yet")

    done = resilient(lambda: node.submit("exec", [{"payload": "0.01"}] * 6, 3)) + resilient(lambda: node.submit("lines", [{"payload": "0.01"}] * 10, 3))
    done += resilient(lambda: node.submit("exec", [{"payload": "0.01\n" + "x" * 100000}], 3))
    later = resilient(lambda: node.submit("lines", [{"payload": "0", "delay": "300ms"}] * 3, 3))
    cancelled = resilient(lambda: node.submit("exec", [{"payload": "5"}], 3))
    resilient(lambda: node.troupe("cancel", *cancelled, "--yes", "--timeout", "2s").returncode in (0, 1) or None)
    resilient(lambda: node.troupe("actor", "stop", "worker:exec/2", "--yes", "--timeout", "2s").returncode == 0 or None)
    resilient(lambda: node.troupe("actor", "start", "worker:exec/2", "--timeout", "2s").returncode in (0, 1) or None)
    done += resilient(lambda: node.submit("lines", [{"payload": "0.01"}] * 2, 3)) # the log has something that the data have not
    for prefix in ("worker:exec/1", "coordinator:"): # so that the points of recovery and of deaths are passed too
        for pid in node.actors(prefix):
            kill(pid)
    more = resilient(lambda: node.submit("exec", [{"payload": "0.02"}] * 4, 3))
    done += resilient(beat)
    everything = done + later + cancelled + more
    end = time.monotonic() + 40
    while True:
        alive()
        if node.wait_all(everything, 1) or time.monotonic() > end:
            break
    return done + later + more, cancelled


def judge(node, done, cancelled):
    """What is broken, as text; "" where all holds."""
    rows = {row["id"]: row for row in node.rows("list", "--limit", "0")}
    problems = ["lost " + i for i in done + cancelled if i not in rows]
    problems += ["not done %s %s" % (i, rows[i]["state"]) for i in done if i in rows and rows[i]["state"] != "done"]
    problems += ["not final %s %s" % (i, rows[i]["state"]) for i in cancelled if i in rows and rows[i]["state"] not in ("cancelled", "done")]
    if len(rows) != len(done) + len(cancelled):
        problems.append("%d tasks, %d submitted" % (len(rows), len(done) + len(cancelled)))
    ended = collections.defaultdict(set)
    for what, task, token in attempts(node):
        if what == "conflict":
            problems.append("two live attempts of " + task)
        if what == "end":
            ended[task].add(token)
    for i, line in zip(done, node.troupe("result", *done).stdout.split("\n")):
        if line != "%s %s" % (i, rows[i]["token"]) or str(rows[i]["token"]) not in ended[i]:
            problems.append("result of %s: %s, token %s" % (i, line, rows[i]["token"]))
    check = node.troupe("check-store")
    if check.returncode:
        problems.append(check.stdout + check.stderr)
    return "\n".join(problems)


for name in names():
    role = ROLE.get(name.split(".")[0], "coordinator")
    for nth in range(1, min(most, PASSES.get(name, PASSES.get(name.split(".")[0], most))) + 1):
        node = Node(build, QUEUES, POOLS)
        once = node.dir + "/once"
        try:
            done, cancelled = drive(node, "%s/%s:%d" % (role, name, nth), once)
            problems = judge(node, done, cancelled)
            if not os.path.exists(once):
                problems = "the point was not hit\n" + problems
            tap.point(not problems, "%s dies at pass %d of %s" % (role, nth, name), problems, node.tail())
        except (TimeoutError, RuntimeError) as e:
            tap.point(False, "%s dies at pass %d of %s" % (role, nth, name), e, node.tail())
        finally:
            node.remove()
tap.end()
