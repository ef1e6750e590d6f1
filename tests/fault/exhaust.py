#!/usr/bin/env python3
"""exhaust.py BUILD [WORD...]: case 10. A process of each role runs out of descriptors or of memory while it runs, and connections come and go by thousands. (Processes that
cannot be made: errors.py; no limit of theirs binds root.) TROUPE_LONG=1: ten thousand connections, and longer."""
import os, resource, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from measure import cpu_seconds, fds, rss_kib
from node import Node, attempts, kill, soon, until
from stories import build, story, tap, tell_all
from wire import Wire, ask, receipts, shown, submit, task, where

LONG = "TROUPE_LONG" in os.environ
here = os.path.dirname(os.path.abspath(__file__))
QUEUES = 'queue "exec" { max_attempts = 20  poison_after = 0  backoff_base = "20ms" }\nqueue "lines" { max_attempts = 20  poison_after = 0  backoff_base = "20ms" }'
POOLS = '  pool "exec" { size = 2  mode = exec  queues = {"exec"}  command = {"' + here + '/task", "%(dir)s"} }\n' + \
        '  pool "lines" { size = 2  mode = lines  queues = {"lines"}  command = {"' + here + '/lines.py", "%(dir)s"} }'
ROLES = ("coordinator:", "front:", "topic:", "worker:exec", "worker:lines", "trouped")


def run(fn):
    node = Node(build, QUEUES, POOLS)
    try:
        node.start()
        until(lambda: len(node.rows("workers")) == 4, 20, "the workers are there")
        return fn(node)
    finally:
        node.remove()


def pid_of(node, role):
    return node.process.pid if role == "trouped" else node.actors(role)[0]


def work(node, n=8):
    return node.submit("exec", [{"payload": "0.01"}] * n) + node.submit("lines", [{"payload": "0.01"}] * n)


def verdict(node, ids):
    """"" where all is as it must be."""
    if not node.wait_all(ids, 60):
        return "not final"
    rows = {row["id"]: row for row in node.rows("list", "--limit", "0")}
    problems = [i for i in ids if i not in rows or rows[i]["state"] != "done"] + [e for e in attempts(node) if e[0] == "conflict"]
    if len(rows) != len(ids):
        problems.append("%d rows, %d tasks" % (len(rows), len(ids)))
    check = node.troupe("check-store")
    return str(problems[:3]) if problems else "" if "0 problems" in check.stdout else check.stdout + check.stderr


def squeeze(node, role, limit, value):
    """Under this limit for a while, with new clients, deaths and work; then without. What is wrong, or ""."""
    pid = pid_of(node, role)
    before = resource.prlimit(pid, limit)
    ids = work(node)
    resource.prlimit(pid, limit, (value(pid), before[1]))
    used, began = cpu_seconds(pid), time.monotonic()
    direct = Wire(where(node), hello=True) if role != "coordinator:" and role != "front:" else None
    try:
        for i in range(20): # who comes now may have to wait, or to go
            node.troupe("ping", "--timeout", "50ms")
            if direct:
                tasks = [(wire.new_id(), queue) for queue in ("exec", "lines")]
                receipts(direct.ask(ask(wire.SUBMIT, submit(*[task(queue, b"0.01\n", id) for id, queue in tasks]))))
                ids += [shown(id) for id, _ in tasks]
            if i == 10 and role in ("trouped", "coordinator:"):
                kill(node.actors("worker:lines")[0]) # something to start, and to hand back
            if time.monotonic() - began > (20 if LONG else 0.5):
                break
    finally:
        if direct:
            direct.close()
    try:
        busy = (cpu_seconds(pid) - used) / (time.monotonic() - began)
        resource.prlimit(pid, limit, before)
    except (OSError, ProcessLookupError):
        busy = 0 # it died of it, and has a successor
    if role == "trouped": # its children were born under it
        for child in node.actors():
            resource.prlimit(child, limit, before) if os.path.exists("/proc/%d" % child) else None
    if node.process.poll() is not None:
        return "trouped has ended: " + node.tail()
    until(lambda: node.troupe("ping", "coordinator:main", "--timeout", "1s").returncode == 0, 30, "the node answers again")
    ids += work(node)
    wrong = verdict(node, squeeze.ids + ids)
    squeeze.ids += ids
    return wrong or ("it burned a processor: %.2f" % busy if busy > 0.8 else "")


@story("case 10: a process of any role that has no descriptor left neither dies nor spins, and goes on when there are some again")
def _():
    def go(node):
        squeeze.ids, bad = [], []
        born = {role: pid_of(node, role) for role in ROLES}
        for role in ROLES:
            wrong = squeeze(node, role, resource.RLIMIT_NOFILE, lambda pid: max(int(n) for n in os.listdir("/proc/%d/fd" % pid)) + 1)
            bad += [(role, wrong)] if wrong else []
        died = [role for role in ROLES if role not in ("worker:lines",) and pid_of(node, role) != born[role]]
        return not bad and not died, bad, died, node.tail()
    return run(go)


@story("case 10: a process of any role that has no memory left fails that message, or is started again; nothing is lost")
def _():
    def go(node):
        if node.is_sanitized():
            return True, ""
        squeeze.ids, bad = [], []
        size = lambda pid: int(open("/proc/%d/statm" % pid).read().split()[0]) * 4096
        for role in ROLES:
            for more in (0, 1 << 20) if LONG else (1 << 18,):
                wrong = squeeze(node, role, resource.RLIMIT_AS, lambda pid: size(pid) + more)
                bad += [(role, more, wrong)] if wrong else []
        return not bad, bad, node.troupe("crashes").stdout, node.tail()
    return run(go)


@story("case 10: thousands of connections that are opened and dropped, with and without a word, leave no descriptor and no memory behind")
def _():
    def go(node):
        bad = []
        n = 10000 if LONG else 1500
        paths = {"coordinator:": where(node), "front:": node.dir + "/run/front"}
        for role, path in paths.items():
            pid = pid_of(node, role)

            def storm(n):
                for i in range(n):
                    with Wire(path, greet=False) as w:
                        if i % 4 == 1:
                            w.socket.send(wire.GREETING[:i % 9])
                        elif i % 4 == 2:
                            w.socket.send(wire.GREETING)
                        elif i % 4 == 3:
                            w.socket.send(wire.GREETING + wire.framed(wire.pack((wire.FRAME_ENVELOPES, ask(wire.PING, b"")))))
            storm(400)
            until(lambda: node.troupe("ping").returncode == 0, 10, "all is taken")
            had, first = fds(pid), rss_kib(pid)
            storm(n)
            until(lambda: node.troupe("ping", "coordinator:main").returncode == 0, 20, "it answers")
            if not soon(lambda: fds(pid) <= had + 5, 10):
                bad.append((role, "descriptors", had, fds(pid)))
            grown = rss_kib(pid) - first
            tap.note("%s %d connections: descriptors %d, then %d; memory +%d KiB" % (role, n, had, fds(pid), grown))
            if grown > 4 * 1024 and not node.is_sanitized():
                bad.append((role, "memory", grown))
        return not bad and not [r for r in node.rows("tree") if r["restarts"]], bad, node.tail()
    return run(go)


tell_all()
