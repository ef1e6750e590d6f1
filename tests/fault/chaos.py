#!/usr/bin/env python3
"""chaos.py BUILD [TASKS SECONDS]: work for a node while a killer goes about it.

Clients submit and send again until they are acknowledged; SIGKILL goes to workers, coordinator, front, event log, and now and then to trouped, which is started again.
Then: every acknowledged task is done, none was lost, no task ever had two live attempts (each holds a lock while it lives), and the one result that is kept is of the attempt
whose token the ledger names."""
import collections, os, random, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, Tap, attempts, kill

build = os.path.abspath(sys.argv[1])
n_tasks, seconds = (int(sys.argv[2]), float(sys.argv[3])) if len(sys.argv) > 3 else (1200, 8.0)
here = os.path.dirname(os.path.abspath(__file__))
seed = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
tap = Tap()
tap.note("CHAOS_SEED=%d" % seed)
random.seed(seed)

QUEUES = 'queue "exec" { max_attempts = 50  poison_after = 0  backoff_base = "50ms" }\nqueue "lines" { max_attempts = 50  poison_after = 0  backoff_base = "50ms" }'
POOLS = '  pool "exec" { size = 4  mode = exec  queues = {"exec"}  command = {"' + here + '/task", "%(dir)s"} }\n' + \
        '  pool "lines" { size = 2  mode = lines  queues = {"lines"}  command = {"' + here + '/lines.py", "%(dir)s"} }'
node = Node(build, QUEUES, POOLS)
acknowledged, kills = [], collections.Counter()
lock, over = threading.Lock(), threading.Event()


def client(number):
    rng = random.Random(seed + number)
    left = n_tasks // 4
    begun = time.monotonic()
    while left > 0:
        n = min(left, 50)
        ids = node.submit("exec" if rng.random() < 0.3 else "lines", [{"payload": "%.3f" % (0.2 if rng.random() < 0.02 else rng.random() * 0.02)} for _ in range(n)], 120)
        with lock:
            acknowledged.extend(ids)
        left -= n
        # Spread over the first two thirds of the time.
        pause = begun + seconds * 0.66 * (1 - left / (n_tasks // 4)) - time.monotonic()
        if pause > 0:
            over.wait(pause)


def killer():
    """For as long as was asked, and until all is submitted."""
    while not over.is_set() and (time.monotonic() - begun < seconds or any(t.is_alive() for t in clients)):
        role = random.choices(["worker:", "coordinator:", "front:", "topic:", "trouped"], [60, 18, 8, 8, 6])[0]
        if role == "trouped":
            kill(node.process.pid)
            node.process.wait()
            node.start()
            kills[role] += 1
        else:
            pids = node.actors(role)
            if pids and kill(random.choice(pids)):
                kills[role] += 1
        over.wait(random.uniform(0.05, 0.4))


try:
    node.start()
    begun = time.monotonic()
    clients = [threading.Thread(target=client, args=(i,)) for i in range(4)]
    grim = threading.Thread(target=killer)
    for t in clients:
        t.start()
    grim.start()
    for t in clients + [grim]:
        t.join()
    tap.note("killed: " + ", ".join("%s %d" % (role.rstrip(":"), n) for role, n in sorted(kills.items())))
    tap.point(len(acknowledged) == n_tasks and len(set(acknowledged)) == n_tasks, "every submit was acknowledged once", len(acknowledged))
    tap.point(node.wait_all(acknowledged, 60 + n_tasks / 50), "every acknowledged task is final", node.tail())
    took = time.monotonic() - begun

    rows = {row["id"]: row for row in node.rows("list", "--limit", "0")}
    lost = [i for i in acknowledged if i not in rows]
    wrong = [rows[i] for i in acknowledged if i in rows and rows[i]["state"] != "done"]
    tap.point(not lost, "none is lost", lost[:5])
    tap.point(not wrong, "all are done", wrong[:5])
    tap.point(len(rows) == len(acknowledged), "there is no task that nobody submitted", len(rows))

    events = collections.defaultdict(list)
    for what, task, token in attempts(node):
        events[task].append((what, token))
    conflicts = [task for task, list_ in events.items() if any(what == "conflict" for what, _ in list_)]
    tap.point(not conflicts, "no task had two live attempts", conflicts[:5])
    bad = []
    for at in range(0, len(acknowledged), 500):
        some = acknowledged[at:at + 500]
        output = node.troupe("result", *some).stdout.split("\n")
        for i, line in zip(some, output):
            if line != "%s %s" % (i, rows[i]["token"]) or ("end", str(rows[i]["token"])) not in events[i]:
                bad.append((i, line, rows[i]["token"], events[i]))
    tap.point(not bad, "each result is of the attempt whose token the ledger names, and that attempt came to its end", *bad[:3])
    check = node.troupe("check-store")
    tap.point(check.returncode == 0, "the ledger fits itself", check.stdout, check.stderr)
    attempts = sum(1 for list_ in events.values() for what, _ in list_ if what == "start")
    tap.note("submitted %d, done %d, attempts %d, %.0f s" % (n_tasks, len(rows) - len(wrong), attempts, took))
    tap.point(node.stop() == 0, "the node stops in order", node.tail())
finally:
    over.set()
    node.remove()
tap.end()
