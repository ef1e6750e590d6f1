#!/usr/bin/env python3
"""same.py BUILD [WORD...]: case 11. The same thing said by many at once, and said again after a death."""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from node import Node, kill, until
from stories import build, story, tell_all
from wire import Refused, Wire, ask, receipts, submit, task, where

CLIENTS = 64
REJECT, RETURN, REPLACE = 0, 1, 2


def run(fn):
    node = Node(build, 'queue "q" { }', '  pool "q" { size = 2  mode = exec  queues = {"q"}  command = {"/bin/cat"} }')
    try:
        node.start()
        return fn(node)
    finally:
        node.remove()


def at_once(node, envelopes):
    """All of them from connections of their own, as near together as threads can: the answers, or the names of the refusals."""
    path = where(node)
    wires = [Wire(path, hello=True, patience=30) for _ in envelopes]
    said, gate = [None] * len(envelopes), threading.Barrier(len(envelopes))

    def one(i):
        gate.wait()
        try:
            said[i] = receipts(wires[i].ask(envelopes[i]))
        except Refused as e:
            said[i] = e.args[0]
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(envelopes))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for w in wires:
        w.close()
    return said


def keyed(mode, body=b"the same", key="key"):
    return ask(wire.SUBMIT, submit(task("q", body, None, (12, key), (13, mode))))


@story("case 11: of 64 clients that submit the same unique key at once one is accepted, and the others are told so as they asked for: refused, or given the first one's id")
def _():
    def go(node):
        node.troupe("queue", "pause", "q")
        refused = at_once(node, [keyed(REJECT, b"%d" % i, "a") for i in range(CLIENTS)])
        given = at_once(node, [keyed(RETURN, key="b") for _ in range(CLIENTS)])
        other = at_once(node, [keyed(RETURN, b"%d" % i, "c") for i in range(CLIENTS)])
        rows = node.rows("list", "--limit", "0")
        one = lambda said: [x for x in said if isinstance(x, list)]
        ids = {x[0][0] for x in given}
        fresh = [x for x in given if not x[0][2]]
        ok = len(one(refused)) == 1 and refused.count("EXISTS") == CLIENTS - 1 and len(ids) == 1 and len(fresh) == 1 and len(one(other)) == 1 and other.count("CONFLICT") == CLIENTS - 1
        return ok and len(rows) == 3, refused, given, other, len(rows)
    return run(go)


@story("case 11: of 64 that replace each other's task one is left to run, and the others are cancelled")
def _():
    def go(node):
        node.troupe("queue", "pause", "q")
        said = at_once(node, [keyed(REPLACE, b"%d" % i) for i in range(CLIENTS)])
        rows = node.rows("list", "--limit", "0")
        left = [r for r in rows if r["state"] == "ready"]
        last = max((x[0][1] for x in said if isinstance(x, list)), default=0)
        node.troupe("queue", "resume", "q")
        node.wait_all([r["id"] for r in rows], 20)
        states = [r["state"] for r in node.rows("list", "--limit", "0")]
        ok = len(rows) == CLIENTS and len(left) == 1 and left[0]["seq"] == last and states.count("done") == 1 and states.count("cancelled") == CLIENTS - 1
        return ok and "0 problems" in node.troupe("check-store").stdout, said[:5], left, last, states
    return run(go)


@story("case 11: 64 clients that send one and the same request get one and the same answer, and it is one task")
def _():
    def go(node):
        envelope = [ask(wire.SUBMIT, submit(*[task("q", b"%d" % i) for i in range(10)]))] * CLIENTS
        said = at_once(node, envelope)
        same = {tuple((r[0], r[1]) for r in x) for x in said if isinstance(x, list)}
        return len(same) == 1 and all(isinstance(x, list) for x in said) and len(node.rows("list", "--limit", "0")) == 10, said[:3]
    return run(go)


@story("case 11: a request that is sent again after the coordinator's death, or the node's, has the answer it had before, also when its tasks have ended; with other content it is a conflict")
def _():
    def go(node):
        made = [(wire.new_id(), b"%d" % i) for i in range(20)]
        request = lambda bodies=None: ask(wire.SUBMIT, submit(*[task("q", bodies or body, id) for id, body in made]))
        again, answers = [], []
        for death in (None, "coordinator", "node", "ended", "node"):
            if death == "coordinator":
                for pid in node.actors("coordinator:"):
                    kill(pid)
                until(lambda: node.troupe("ping", "coordinator:main").returncode == 0, 10, "the successor answers")
            elif death == "node":
                node.kill_everything()
                node.start()
            elif death == "ended":
                node.wait_all([r["id"] for r in node.rows("list", "--limit", "0")], 20)
            with Wire(where(node)) as w:
                answers.append(receipts(w.ask(request())))
                try:
                    w.ask(request(b"something else"))
                    again.append("accepted")
                except Refused as e:
                    again.append(e.args[0])
        same = {tuple((r[0], r[1]) for r in a) for a in answers}
        fresh = [sum(not r[2] for r in a) for a in answers]
        rows = node.rows("list", "--limit", "0")
        return len(same) == 1 and fresh == [20, 0, 0, 0, 0] and set(again) == {"CONFLICT"} and len(rows) == 20 and {r["attempts"] for r in rows} == {1}, same, fresh, again, rows[:2]
    return run(go)


tell_all()
