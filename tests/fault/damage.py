#!/usr/bin/env python3
"""damage.py BUILD [WORD...]: case 16 on a real node: its ledger is damaged while it is down. TROUPE_LONG=1: more kinds of damage."""
import os, random, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, until
from stories import build, story, tap, tell_all

LONG = "TROUPE_LONG" in os.environ
seed = int(os.environ.get("DAMAGE_SEED", "0")) or int.from_bytes(os.urandom(4), "big")


def run(fn):
    node = Node(build, 'queue "q" { }', '  pool "q" { size = 2  mode = exec  queues = {"q"}  command = {"/bin/cat"} }')
    try:
        node.start()
        return fn(node)
    finally:
        node.remove()


def fill(node, n):
    """n tasks that are done, and as many that wait: {id: payload}."""
    bodies = {}
    for state in ("done", "waiting"):
        payloads = ["%s %d %s" % (state, i, "x" * (i * 37 % 900)) for i in range(n)]
        ids = node.submit("q", [{"payload": p} for p in payloads])
        bodies.update(zip(ids, payloads))
        if state == "done":
            node.wait_all(ids, 30)
            node.troupe("queue", "pause", "q")
    node.stop()
    return bodies


def hurt(path, rng):
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        kind = rng.choice(["bit", "bytes", "sector", "page"])
        n = {"bit": 1, "bytes": 16, "sector": 512, "page": 4096}[kind]
        at = rng.randrange(size // n) * n
        f.seek(at)
        was = f.read(n)
        f.seek(at)
        f.write(bytes([was[0] ^ 1 << rng.randrange(8)]) if kind == "bit" else rng.randbytes(n) if kind == "bytes" else bytes(n))
    return kind, at


def comes_up(node):
    """Starts it, and waits until it answers (True) or has ended: then it has said why it cannot start."""
    node.start(wait=False)
    until(lambda: node.process.poll() is not None or node.troupe("tree").returncode == 0, 20, "the node answers, or ends")
    return node.process.poll() is None


@story("case 16: a node whose ledger was cut short refuses to start, once and with the reason, and starts when somebody has moved it away")
def _():
    def go(node):
        fill(node, 50)
        path = node.dir + "/state/actors/coordinator/main/data.mdb"
        os.truncate(path, os.path.getsize(path) // 2)
        node.start(wait=False)
        status = node.process.wait(20)
        log = open(node.log).read()
        os.rename(path, path + ".damaged")
        again = comes_up(node)
        works = node.troupe("submit", "q", "x", "--wait", "--timeout", "10s")
        return status == 70 and node.process.poll() is None and log.count("cut short") <= 3 and "the node cannot start" in log and again and works.returncode == 0, status, log[-900:], works.stderr
    return run(go)


@story("case 16: whatever is damaged in a ledger, its node serves true bodies or says what is wrong, and does not burn a processor over it")
def _():
    def go(node):
        tap.note("DAMAGE_SEED=%d" % seed)
        rng = random.Random(seed)
        bodies = fill(node, 200)
        path = node.dir + "/state/actors/coordinator/main/data.mdb"
        whole = open(path, "rb").read()
        bad = []
        for i in range(60 if LONG else 6):
            with open(path, "wb") as f:
                f.write(whole)
            if os.path.exists(path[:-8] + "lock.mdb"):
                os.unlink(path[:-8] + "lock.mdb")
            open(node.log, "w").close()
            what = [hurt(path, rng) for _ in range(rng.choice([1, 1, 3]))]
            began, served = time.monotonic(), 0
            if comes_up(node):
                for id in rng.sample(sorted(bodies), 12):
                    got = node.troupe("get", id, "--payload", "--json", "--timeout", "1s")
                    if got.returncode == 0 and bodies[id] not in got.stdout:
                        bad.append((what, "another body", id, got.stdout))
                    served += got.returncode == 0
                node.troupe("check-store", "--timeout", "3s")
            log = open(node.log, errors="replace").read()
            starts = log.count("ledger opened")
            said = "damaged" in log or "data.mdb" in log or "MDB_" in log
            if (served < 12 and not said) or starts > 30 + 2 * (time.monotonic() - began):
                bad.append((what, "served %d, said %s, started %d times" % (served, said, starts), log[-500:]))
            node.kill_everything()
        return not bad, *bad[:3]
    return run(go)


tell_all()
