#!/usr/bin/env python3
"""stop.py BUILD [WORD...]: case 2. SIGSTOP to each process of a node at work, for a second; TROUPE_LONG=1: for 10 and 60 seconds, in which the supervisor kills what has hung."""
import collections, os, signal, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from measure import percentile
from node import Node, attempts, kill, until
from stories import build, story, tap, tell_all
from wire import Wire, ask, first, pack, receipts, shown, submit, task, unpack, where

LONG = "TROUPE_LONG" in os.environ
PATIENCE = 10 # of the supervisor with who does not answer its ping
here = os.path.dirname(os.path.abspath(__file__))
QUEUES = 'queue "exec" { max_attempts = 20  backoff_base = "20ms" }\nqueue "lines" { max_attempts = 20  backoff_base = "20ms" }'
POOLS = '  pool "exec" { size = 3  mode = exec  queues = {"exec"}  command = {"' + here + '/task", "%(dir)s"} }\n' + \
        '  pool "lines" { size = 2  mode = lines  queues = {"lines"}  command = {"' + here + '/lines.py", "%(dir)s"} }'


class Load(threading.Thread):
    """Submits small tasks all the time, on one connection as long as it holds, and says how long each took to be acknowledged."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.over, self.ids, self.took = node, threading.Event(), [], []

    def run(self):
        w = None
        while not self.over.wait(0.01):
            tasks = [(wire.new_id(), queue) for queue in ("exec", "lines", "lines")]
            envelope = ask(wire.SUBMIT, submit(*[task(queue, b"0.02", id) for id, queue in tasks]))
            began = time.monotonic()
            while True:
                try:
                    w = w or Wire(where(self.node), hello=True, patience=90)
                    receipts(w.ask(envelope))
                    break
                except (OSError, EOFError, wire.Refused):
                    w = None
                    time.sleep(0.01)
            self.took.append((began, time.monotonic() - began))
            self.ids += [shown(id) for id, _ in tasks]


def stop_one(node, load, role, seconds):
    """(is it so, what was seen) of one process that stands still for so long."""
    pid, began, done, kept = node.actors(role)[0], time.monotonic(), ended(node), len(load.ids)
    kill(pid, signal.SIGSTOP)
    until(lambda: time.monotonic() - began > seconds, seconds + 5, "the time")
    meanwhile = ended(node) - done
    killed = "hung" in open(node.log).read()
    kill(pid, signal.SIGCONT)
    until(lambda: len(load.ids) > kept + 60, 40, "work goes on afterwards")
    waits = [took for at, took in load.took if at < began + seconds and at + took > began] # also one that was under way
    tap.note("%s stopped for %g s: longest submit %.0f ms, p50 %.1f ms, %d tasks ended meanwhile, killed: %s" % (role, seconds, 1e3 * max(waits), 1e3 * percentile(waits, 50), meanwhile, killed))
    itself = role == "coordinator:"
    longest = min(seconds, 2 * PATIENCE) + 3 if itself else 1 # it is asked every PATIENCE
    return (itself or meanwhile > 10 * seconds) and max(waits) < longest and killed == (seconds > PATIENCE + 5 or (killed and seconds >= PATIENCE)), meanwhile, max(waits), killed


def stopped(roles, seconds):
    """One after the other; then all that must hold of the tasks."""
    node = Node(build, QUEUES, POOLS)
    load = Load(node)
    try:
        node.start()
        load.start()
        until(lambda: len(load.ids) > 60 and node.rows("workers"), 20, "work goes on")
        seen = [stop_one(node, load, role, seconds) for role in roles]
        load.over.set()
        load.join(60)
        final = node.wait_all(load.ids, 60)
        rows = {row["id"]: row for row in node.rows("list", "--limit", "0")}
        wrong = [rows.get(i) for i in load.ids if i not in rows or rows[i]["state"] != "done"]
        conflicts = [e for e in attempts(node) if e[0] == "conflict"]
        results = wrong_results(node, load.ids, rows)
        ok = all(s[0] for s in seen) and final and not wrong and not conflicts and not results and len(rows) == len(load.ids)
        return ok and "0 problems" in node.troupe("check-store").stdout, seen, final, wrong[:2], conflicts[:2], results[:2], node.tail()
    finally:
        load.over.set()
        node.remove()


def ended(node):
    return sum(what == "end" for what, _, _ in attempts(node)) if os.path.exists(node.dir + "/attempts") else 0


def wrong_results(node, ids, rows):
    """Results that are not of the attempt whose token the ledger names, and that came to its end."""
    came = collections.defaultdict(set)
    for what, id, token in attempts(node):
        if what == "end":
            came[id].add(token)
    wrong = []
    for at in range(0, len(ids), 500):
        some = ids[at:at + 500]
        for id, line in zip(some, node.troupe("result", *some).stdout.split("\n")):
            if line != "%s %s" % (id, rows[id]["token"]) or str(rows[id]["token"]) not in came[id]:
                wrong.append((id, line, rows[id]["token"]))
    return wrong


ROLES = {"worker:exec": "an exec worker keeps its own task and holds up nobody", "worker:lines": "a lines worker keeps what it has begun, and its sibling takes the rest",
         "coordinator:": "the coordinator delays submits, and nothing is lost or done twice", "front:": "the front is missed by new clients only", "topic:": "nobody waits for the event log"}
class Guest:
    """A worker from outside, with a heartbeat of a second."""

    def __init__(self, node):
        self.wire = Wire(where(node), hello=True, patience=20)
        self.wire.send(pack((wire.FRAME_ENVELOPES, ask(wire.ATTACH, pack((2, "guests"), (4, 1), (7, "attached"), (11, os.urandom(16)), (12, 1000))))))

    def hear(self, verb):
        """The next message of this kind."""
        while True:
            for number, envelope in unpack(self.wire.frame()):
                body = first(envelope, verb) if number == wire.FRAME_ENVELOPES else None
                if body is not None:
                    return body

    def say(self, verb, body):
        self.wire.send(pack((wire.FRAME_ENVELOPES, pack((9, 4), (verb, body)))))

    def take(self):
        """The token of the task that it is given, which it begins."""
        token = first(first(self.hear(wire.RUN), 1), 1)
        self.say(103, pack((1, token)))
        return token

    def end(self, token, result):
        """What becomes of its outcome: (tokens that are taken, tokens that are refused)."""
        self.say(104, pack((1, pack((1, token), (3, 1), (6, result)))))
        answer = unpack(self.hear(105))
        return [value for number, value in answer if number == 1], [value for number, value in answer if number == 2]


@story("case 2: a worker from outside that was silent for longer than its heartbeat has lost its task; its late result is refused by its token, the other's is kept")
def _():
    node = Node(build, 'queue "guests" { backoff_base = "10ms" }', '  child "idle" { command = {"/bin/sleep", "1000"} }')
    try:
        node.start()
        silent = Guest(node)
        id = node.submit("guests", [{"payload": "x"}])[0]
        old = silent.take()
        until(lambda: node.rows("get", id)[0]["state"] != "running", 10, "it is taken from the silent one")
        other = Guest(node)
        new = other.take()
        taken, late = other.end(new, b"in time"), silent.end(old, b"too late")
        row = node.rows("get", id)[0]
        result = node.troupe("result", id).stdout
        return new > old and len(taken[0]) == 1 and not taken[1] and not late[0] and len(late[1]) == 1 and result == "in time" and row["state"] == "done", old, new, taken, late, result, row
    finally:
        node.remove()


if not LONG:
    story("case 2: a process of any kind stands still for a second: only the coordinator delays submits, and nothing is lost or done twice")(lambda: stopped(ROLES, 1))
for seconds in (10, 60) if LONG else ():
    for role, sentence in ROLES.items():
        story("case 2: stopped for %d s, %s" % (seconds, sentence))(lambda role=role, seconds=seconds: stopped([role], seconds))
tell_all()
