#!/usr/bin/env python3
"""rounds.py BUILD [ROUNDS]: submit a batch, SIGKILL everything at once at a random moment, start again: all that was acknowledged is there."""
import os, random, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, Tap

build = os.path.abspath(sys.argv[1])
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
tap = Tap()
node = Node(build, 'queue "q" { max_attempts = 100  poison_after = 0 }', '  pool "q" { size = 2  mode = exec  queues = {"q"}  command = {"/bin/cat"} }')
acknowledged, bad = [], []
try:
    node.start()
    for number in range(rounds):
        def client():
            acknowledged.extend(node.submit("q", [{"payload": "%d" % i} for i in range(100)]))
        t = threading.Thread(target=client)
        t.start()
        time.sleep(random.random() * 0.08)
        node.kill_everything()
        node.start()
        t.join()
        if (number + 1) % 10 == 0 or number + 1 == rounds:
            there = {row["id"] for row in node.rows("list", "--limit", "0")}
            bad += [i for i in acknowledged if i not in there]
    tap.point(not bad, "after %d rounds every acknowledged task is there" % rounds, bad[:5])
    tap.point(len(acknowledged) == 100 * rounds, "every batch was acknowledged", len(acknowledged))
    tap.point(node.wait_all(acknowledged, 60 + rounds), "all become final", node.tail())
    rows = node.rows("list", "--limit", "0")
    tap.point(len(rows) == len(acknowledged) and all(row["state"] == "done" for row in rows), "all are done, and there is nothing else", [r for r in rows if r["state"] != "done"][:3])
    tap.point(node.troupe("check-store").returncode == 0, "the ledger fits itself")
finally:
    node.remove()
tap.end()
