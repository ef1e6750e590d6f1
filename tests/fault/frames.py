#!/usr/bin/env python3
"""frames.py BUILD [WORD...]: cases 8 and 9. Payloads of every awkward size, lengths that are lies, frames that are broken in every way, against the sockets of a real node.
TROUPE_LONG=1: every bit of every frame, instead of a bit of each byte."""
import os, random, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from measure import rss_kib
from node import Node, until
from stories import build, story, tell_all
from wire import Refused, Wire, ask, first, framed, pack, receipts, shown, submit, task, unpack, varint, where

LONG = "TROUPE_LONG" in os.environ
LIMIT = 65536
PAUSED = 'queue "q" { }'
IDLE = '  child "idle" { command = {"/bin/sleep", "1000"} }'


def with_node(fn, queues=PAUSED, pools=IDLE):
    node = Node(build, queues, pools)
    try:
        node.start()
        result = fn(node)
        # Whatever was sent: nobody died of it, and a plain client is served.
        died = [row["actor"] for row in node.rows("tree") if row["restarts"]] + node.rows("crashes")
        served = node.troupe("submit", "q", "afterwards").returncode == 0 and "0 problems" in node.troupe("check-store").stdout
        return (result[0] and not died and served, *result[1:], "died", died, served, node.tail())
    finally:
        node.remove()


def refusal(fn):
    """The name of the error with which something was refused; CLOSED; "" where it was not."""
    try:
        fn()
        return ""
    except Refused as e:
        return e.args[0]
    except (EOFError, OSError):
        return "CLOSED"


def there(node):
    return {row["id"] for row in node.rows("list", "--limit", "0")}


@story("case 8: payloads of 0, 1, limit-1 and limit bytes, of NUL bytes and of no UTF-8 come back as they went in; limit+1 is refused by name and loses nothing")
def _():
    def go(node):
        path = where(node)
        bodies = [b"", b"x", os.urandom(LIMIT - 1), os.urandom(LIMIT), bytes(1000), b"\0a\0\0", b"\xff\xfe\xc0\x80\xed\xa0\x80", "ä€".encode()]
        differs = []
        with Wire(path) as w:
            for body in bodies:
                id = receipts(w.ask(ask(wire.SUBMIT, submit(task("q", body)))))[0][0]
                got = w.ask(ask(wire.GET, pack((1, pack((1, id))), (2, 1))))
                if first(first(first(got, 1), 1), 3, b"") != body:
                    differs.append(len(body))
                done = node.troupe("wait", shown(id), "--timeout", "10s")
                if done.returncode:
                    differs.append((len(body), done.stderr))
            results = []
            for row in node.rows("list", "--limit", "0"):
                got = w.ask(ask(wire.GET, pack((1, pack((2, row["seq"]))), (2, 1), (3, 1))))
                t = first(got, 1)
                results.append(first(first(t, 1), 3, b"") == first(first(t, 15, b""), 6, b""))
            too_large = refusal(lambda: w.ask(ask(wire.SUBMIT, submit(task("q", bytes(LIMIT + 1))))))
            alone = refusal(lambda: w.ask(ask(wire.SUBMIT, submit(task("q", b"good"), task("q", bytes(LIMIT + 1))))))
            after = refusal(lambda: w.ask(ask(wire.SUBMIT, submit(task("q", b"good")))))
        ok = not differs and len(results) == len(bodies) and all(results) and (too_large, alone, after) == ("TOO_LARGE", "TOO_LARGE", "") and len(there(node)) == len(bodies) + 1
        return ok, differs, results, too_large, alone, after
    return with_node(go, pools='  pool "q" { size = 1  mode = exec  queues = {"q"}  command = {"/bin/cat"} }')


@story("case 8: a hundred thousand tags or arguments, and names with NUL bytes, without UTF-8 or too long, are refused, each with the name of its error")
def _():
    def go(node):
        path = where(node)
        many = lambda number: b"".join(pack((number, "t%d" % i)) for i in range(100000))
        wrong = {
            "tags": task("q") + many(16), "arguments": task("q") + many(5), "NUL in a name": task("q\0q"), "no UTF-8": task(b"q\xff"), "a long name": task("q" * 100000),
            "a long key": task("q", b"", None, (12, "k" * 201)), "a short id": task("q", b"", b"short"), "a NUL argument": task("q", b"", None, (5, b"a\0b")),
            "an empty tag": task("q", b"", None, (16, "")),
            "a tag of 65 bytes": task("q", b"", None, (16, "t" * 65)), "33 tags": task("q") + b"".join(pack((16, "t%d" % i)) for i in range(33)),
        }
        said = {}
        for name, spec in wrong.items():
            with Wire(path) as w:
                said[name] = refusal(lambda: w.ask(ask(wire.SUBMIT, submit(spec))))
        with Wire(path) as w:
            said["4,097 tasks"] = refusal(lambda: w.ask(ask(wire.SUBMIT, submit(*[task("q") for _ in range(4097)]))))
            said["no task"] = refusal(lambda: w.ask(ask(wire.SUBMIT, b"")))
            said["a deadline that has passed"] = refusal(lambda: w.ask(ask(wire.SUBMIT, submit(task("q", b"", None, (11, 1))))))
        return all(said.values()) and not there(node), said
    return with_node(go)


@story("case 8: claimed lengths of 1 GiB, 2^32, 2^63 and more cost no memory, neither in the framing nor in a message; whoever claims them is closed")
def _():
    def go(node):
        bad = []
        for address in ("coordinator:main", "front:main"):
            path = where(node, address) if address != "front:main" else node.dir + "/run/front"
            pid = node.actors(address)[0]
            before = rss_kib(pid)
            for n in ((1 << 20) + 1, 1 << 30, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
                with Wire(path) as w: # in the framing
                    w.socket.sendall(b"\1" + n.to_bytes(8, "big") + bytes(100))
                    if not w.is_closed():
                        bad.append((address, "framing", n))
                for at in (b"\x1a", b"\x1a\x20\x0a", b"\x0a"): # an envelope, its address, the hello
                    with Wire(path) as w:
                        w.send(at + varint(n) + bytes(100))
                        if not w.is_closed():
                            bad.append((address, at, n))
            # Honest about their length, but never sent: held, one of them at a time, until the frame's time is over.
            held = [Wire(path) for _ in range(20)]
            for w in held:
                w.socket.sendall(b"\1" + (1 << 20).to_bytes(8, "big") + bytes(100))
            with Wire(path) as w:
                bad += [(address, "ping")] if refusal(lambda: w.ask(ask(wire.PING, b""))) else []
            grown = rss_kib(pid) - before
            for w in held:
                w.close()
            if grown > 24 * 1024 and not node.is_sanitized():
                bad.append((address, "memory", grown))
        return not bad, bad
    return with_node(go)


def honest_submit():
    id = wire.new_id()
    return id, pack((wire.FRAME_ENVELOPES, ask(wire.SUBMIT, submit(task("q", b"payload", id, (12, "key-" + id.hex()[-8:]), (16, "tag"))))))


def answers(path, frame):
    """What an anonymous client with this frame is told: the ids that are acknowledged, and whether it was closed. A ping behind it says when all has been read."""
    acknowledged, closed = [], False
    w = Wire(path)
    ping = wire.new_id()
    try:
        w.socket.sendall(framed(frame) + framed(pack((wire.FRAME_ENVELOPES, ask(wire.PING, b"", ping)))))
        while True:
            for number, value in unpack(w.frame()):
                if number == wire.FRAME_ENVELOPES:
                    body = first(value, wire.SUBMITTED)
                    acknowledged += [r[0] for r in receipts(body)] if body is not None else []
                    if first(value, 8) == ping:
                        return acknowledged, closed
    except (EOFError, OSError):
        return acknowledged, True
    finally:
        w.close()


@story("case 9: a frame cut at each byte, with the true length or the old one, brings no task but those that are acknowledged")
def _():
    def go(node):
        path = where(node)
        acknowledged = []
        _, whole = honest_submit()
        for n in range(len(whole)):
            _, frame = honest_submit()
            acknowledged += answers(path, frame[:n])[0] # a shorter frame
            with Wire(path) as w:                       # half a frame, and the end
                w.socket.sendall(framed(frame)[:9 + n])
        for n in range(9 + 8): # in the greeting and in the head
            with Wire(path, greet=False) as w:
                w.socket.sendall((wire.GREETING + framed(whole))[:n])
        found = there(node)
        return found == {shown(id) for id in acknowledged}, len(found), len(acknowledged)
    return with_node(go)


@story("case 9: bits flipped in a submit and in questions to front and coordinator: what is acknowledged is there, what is there was acknowledged, and the next client is served")
def _():
    def go(node):
        rng = random.Random(9)
        acknowledged, closed, tried = [], 0, 0
        fronts = [pack((wire.FRAME_ENVELOPES, ask(wire.WHEREIS, pack((1, "coordinator:main"))))), pack((wire.FRAME_ENVELOPES, ask(42, pack((2, 10)))))]
        path, front = where(node), node.dir + "/run/front"
        for whole, to in [(honest_submit()[1], path), *[(f, front) for f in fronts]]:
            for at in range(len(whole)):
                for bit in range(8) if LONG else [rng.randrange(8)]:
                    frame = bytearray(honest_submit()[1] if to == path else whole)
                    frame[at] ^= 1 << bit
                    ids, ended = answers(to, bytes(frame))
                    acknowledged += ids
                    closed += ended
                    tried += 1
        for at in range(17): # the greeting and the head of the frame; a length that grew is waited for, so nobody reads
            for bit in range(8):
                stream = bytearray(wire.GREETING + framed(honest_submit()[1]))
                stream[at] ^= 1 << bit
                with Wire(path, greet=False) as w:
                    w.socket.sendall(bytes(stream))
        found = there(node)
        lost = {shown(id) for id in acknowledged} - found
        nowhere = found - {shown(id) for id in acknowledged}
        # A bit of the length may make it shorter: what is left of such a frame may be whole, and its answer was not waited for.
        return not lost and len(nowhere) <= 8 * 8 and tried > 100, "lost", lost, "from nowhere", nowhere, "closed %d of %d" % (closed, tried)
    return with_node(go)


@story("case 9: unknown fields are passed over, of duplicate ones the last holds, and two commands in one frame, or two frames in one packet, are two commands")
def _():
    def go(node):
        path = where(node)
        bad = []
        with Wire(path) as w:
            unknown = pack((999, "later"), (1000, 7), (536870911, b"\0"))
            a = wire.new_id()
            got = receipts(w.ask(ask(wire.SUBMIT, submit(task("q", b"a", a) + unknown) + unknown) + unknown))
            bad += [] if [r[0] for r in got] == [a] else [("unknown", got)]
            b, c = wire.new_id(), wire.new_id()
            got = receipts(w.ask(ask(wire.SUBMIT, submit(task("nowhere", b"x", b) + pack((1, c), (2, "q"), (3, b"last"))))))
            bad += [] if [r[0] for r in got] == [c] else [("duplicate", got)]
            # Two bodies: the last of a oneof holds, so this is no submit.
            d = wire.new_id()
            w.ask(ask(wire.SUBMIT, submit(task("q", b"d", d))) + pack((wire.PING, b"")))
            # Two envelopes in a frame, two frames in a packet, a frame in three packets.
            e = [wire.new_id() for _ in range(5)]
            one = [pack((wire.FRAME_ENVELOPES, ask(wire.SUBMIT, submit(task("q", b"e", id))))) for id in e]
            stream = framed(one[0] + one[1]) + framed(one[2]) + framed(one[3])
            w.socket.sendall(stream)
            third = framed(one[4])
            for part in (third[:5], third[5:20], third[20:]):
                w.socket.sendall(part)
            acknowledged = []
            while len(acknowledged) < 5:
                for number, value in unpack(w.frame()):
                    if number == wire.FRAME_ENVELOPES and first(value, wire.SUBMITTED) is not None:
                        acknowledged += [r[0] for r in receipts(first(value, wire.SUBMITTED))]
            bad += [] if set(acknowledged) == set(e) else [("two commands", acknowledged)]
        found = there(node)
        return not bad and found == {shown(id) for id in [a, c, *e]}, bad, found
    return with_node(go)


@story("case 9: whoever says that it is a worker of the node and is not is a client: its outcomes with guessed tokens change nothing, nor do those of a worker from outside")
def _():
    def go(node):
        until(lambda: node.rows("workers"), 10, "the worker is there")
        node.troupe("submit", "q", "2")
        running = until(lambda: [r for r in node.rows("list") if r["state"] == "running"], 10, "it runs")[0]
        row = node.rows("workers")[0]
        said = []
        for token in range(1, 20):
            w = Wire(where(node))
            try:
                w.send(pack((wire.FRAME_HELLO, pack((1, 1), (2, "worker:q/1"), (3, row["incarnation"])))))
                w.frame()
                said.append(refusal(lambda: w.ask(ask(104, pack((1, pack((1, token), (3, 1), (6, b"forged"))))))))
            finally:
                w.close()
        with Wire(where(node), hello=True) as w: # a worker from outside, with every right to be one
            w.ask(ask(wire.ATTACH, pack((2, "other"), (4, 1), (7, "attached"), (11, os.urandom(16)))))
            w.send(pack((wire.FRAME_ENVELOPES, pack((9, 4), (104, b"".join(pack((1, pack((1, token), (3, 1), (6, b"forged")))) for token in range(1, 20)))))))
            answer = [first(v, 105) for n, v in unpack(w.frame()) if n == wire.FRAME_ENVELOPES][0]
            fields = [number for number, _ in unpack(answer)] # 2: stale
        done = node.troupe("wait", running["id"], "--timeout", "10s")
        result = node.troupe("result", running["id"]).stdout
        return set(said) == {"STATE"} and set(fields) == {2} and done.returncode == 0 and "forged" not in result and "honest" in result, said, answer, result
    return with_node(go, queues='queue "q" { }\nqueue "other" { }', pools='  pool "q" { size = 1  mode = exec  queues = {"q"}  command = {"/bin/sh", "-c", "sleep 1; echo honest"} }')


tell_all()
