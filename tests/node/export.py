#!/usr/bin/env python3
"""export.py BUILD [WORD...]: tasks as lines, out of one node and into another, twice, half, and into the one they came from."""
import base64, json, os, subprocess
from node import Node, kill, until
from stories import build, story, tell_all

QUEUES = 'queue "q" { max_attempts = 3 }\nqueue "work" { max_attempts = 1 }'
POOL = '  pool "work" { size = 2  mode = exec  queues = {"work"}  command = {"/bin/sh", "-c", "grep -q good"} }'
FOR_PEOPLE = ("attempts", "submitter", "submitted_at", "state")


def with_nodes(n, fn):
    nodes = [Node(build, queues=QUEUES, pools=POOL) for _ in range(n)]
    try:
        for node in nodes:
            node.start()
        return fn(*nodes)
    finally:
        for node in nodes:
            node.remove()


def said(done):
    return "%s -> %d\n%s%s" % (" ".join(done.args[1:]), done.returncode, done.stdout[-2000:], done.stderr)


def export(node, *options):
    done = node.troupe("export", *options, "-q")
    if done.returncode:
        raise RuntimeError(said(done))
    return done.stdout


def tasks_of(text):
    return [{k: v for k, v in json.loads(line).items() if k not in FOR_PEOPLE} for line in text.splitlines()]


def imported(node, text, *options):
    done = node.troupe("import", "-", "--json", *options, input=text)
    return done, json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}


def variety(node, n):
    """Tasks that nobody works on, of many kinds."""
    node.submit("q", [{"payload": "plain %d" % i} for i in range(n)])
    node.submit("q", [{"payload": {"to": "ann", "n": i}, "priority": ["critical", "bulk", 77][i % 3], "require": ["gpu", "big"][: i % 3]} for i in range(30)])
    node.submit("q", [{"payload_base64": base64.b64encode(bytes(range(i, 256))).decode(), "timeout": "90s", "max_attempts": 4} for i in range(3)])
    node.submit("q", [{"payload_base64": base64.b64encode("nul \0 and \u00e4".encode()).decode(), "unique": "k%d" % i, "unique_mode": "return", "deadline": "3h"} for i in range(3)])
    node.submit("q", [{"payload": "later", "delay": "2h"}, {"payload": "then", "run_at": "2099-01-01T00:00:00Z"}, {"argv": ["make", "-C", "/srv \u00fc"]}, {"payload": ""}])


@story("what is exported and imported is the same, in the same order, and once more changes nothing")
def _():
    def go(node, other):
        variety(node, 1500)
        first = export(node)
        done, counts = imported(other, first)
        second = export(other)
        again, repeated = imported(other, first)
        ids = [task["id"] for task in tasks_of(first)]
        seqs = {task["id"]: task["seq"] for task in other.rows("list", "--limit", "0")}
        ordered = [seqs[i] for i in ids] == sorted(seqs.values())
        return len(ids) == 1540 and done.returncode == 0 and counts["accepted"] == 1540 and tasks_of(first) == tasks_of(second) and ordered and again.returncode == 0 and \
            repeated == {"accepted": 0, "duplicate": 1540, "refused": 0, "over": 0}, said(done), said(again), ordered, [x for x in zip(tasks_of(first), tasks_of(second)) if x[0] != x[1]][:2]
    return with_nodes(2, go)


@story("into the node they came from nothing is new, even where the line says it otherwise than the submit did")
def _():
    def go(node):
        variety(node, 1200)
        text = export(node)
        done, counts = imported(node, text)
        steady = [[{k: v for k, v in task.items() if k != "run_at"} for task in tasks_of(t)] for t in (text, export(node))] # a delay's end is told to a millisecond or two
        return done.returncode == 0 and counts == {"accepted": 0, "duplicate": 1240, "refused": 0, "over": 0} and steady[0] == steady[1] and \
            node.troupe("check-store").returncode == 0, said(done)
    return with_nodes(1, go)


@story("a line that stands for another task is refused by its number, and the others are taken")
def _():
    def go(node, other):
        variety(node, 1100)
        lines = export(node).splitlines()
        other.troupe("import", "-", input="\n".join(lines[:400]) + "\n")
        changed = json.loads(lines[7])
        changed["payload"] = "changed"
        lines[7] = json.dumps(changed)
        late = json.loads(lines[500])
        late["deadline_at"] = "2001-01-01T00:00:00Z"
        lines[500] = json.dumps(late)
        done, counts = imported(other, "\n".join(lines) + "\n")
        return done.returncode == 65 and counts == {"accepted": len(lines) - 401, "duplicate": 399, "refused": 2, "over": 0} and "line 8: another task has this id" in done.stderr and \
            "line 501: " in done.stderr and "deadline" in done.stderr, said(done)
    return with_nodes(2, go)


@story("what was done or cancelled is exported when it is asked for, and imported only then")
def _():
    def go(node, other):
        ids = node.submit("work", [{"payload": "good"}] * 3 + [{"payload": "bad"}] * 2)
        node.wait_all(ids, 30)
        cancelled = node.submit("q", [{"payload": "no"}])
        node.troupe("cancel", cancelled[0], "--yes")
        live = node.submit("q", [{"payload": "yes"}])
        plain, failed, everything = export(node), export(node, "--failed"), export(node, "--all")
        done, counts = imported(other, everything)
        more, all_of_them = imported(other, everything, "--all")
        states = sorted(json.loads(line)["state"] for line in everything.splitlines())
        return [t["id"] for t in tasks_of(plain)] == live and len(tasks_of(failed)) == 2 and states == ["cancelled"] + ["dead"] * 2 + ["done"] * 3 + ["ready"] and \
            counts == {"accepted": 3, "duplicate": 0, "refused": 0, "over": 4} and all_of_them == {"accepted": 4, "duplicate": 3, "refused": 0, "over": 0}, states, said(done), said(more)
    return with_nodes(2, go)


@story("an import that was killed, beside a coordinator that was killed, is finished by the next one")
def _():
    def go(node, other):
        node.submit("q", [{"payload": "%d" % i, "delay": "2h"} for i in range(20000)])
        path = node.dir + "/tasks.jsonl"
        with open(path, "w") as f:
            f.write(export(node))
        tool = subprocess.Popen([build + "/actors/tools/troupe", "import", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=other.env)
        until(lambda: tool.poll() is not None or any(q["scheduled"] for q in other.rows("queue", "list")), 30, "the import has begun")
        kill(tool.pid)
        tool.wait()
        second = subprocess.Popen([build + "/actors/tools/troupe", "import", path, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=other.env)
        for pid in other.actors("coordinator:"):
            kill(pid)
        counts = json.loads(second.communicate(timeout=60)[0])
        return second.returncode == 0 and counts["accepted"] + counts["duplicate"] == 20000 and other.rows("queue", "show", "q")[0]["scheduled"] == 20000 and \
            tasks_of(export(other)) == tasks_of(open(path).read()) and other.troupe("check-store").returncode == 0, counts
    return with_nodes(2, go)


@story("what waits for others comes behind them, however the node takes the lines")
def _():
    def go(node, other):
        ids = [node.new_id() for _ in range(4000)]
        node.submit("q", [{"id": i, "payload": "x", "serial": "s%d" % (n % 5), "resources": {"gpu": 1}, "retry": ["exit 3: dead"], **({"after": [ids[n - 1]]} if n else {"delay": "3h"})}
                          for n, i in enumerate(ids)])
        lines = export(node).splitlines()
        first, some = imported(other, "\n".join(lines[:500]) + "\n")
        stranger = json.loads(lines[0])
        stranger["unique_window"] = "1h" # a conflict in the first chunk, which holds it up
        done, counts = imported(other, "\n".join([json.dumps(stranger)] + lines[1:]) + "\n")
        return len(lines) == 4000 and some["accepted"] == 500 and done.returncode == 65 and counts == {"accepted": 3500, "duplicate": 499, "refused": 1, "over": 0} and \
            tasks_of(export(other)) == tasks_of("\n".join(lines)) and other.troupe("check-store").returncode == 0, said(first), said(done)
    return with_nodes(2, go)


@story("payloads above 64 KiB go out as files and come in from them")
def _():
    def go(node, other):
        big = os.urandom(200000)
        with open(node.dir + "/big", "wb") as f:
            f.write(big)
        task = node.troupe("submit", "q", "--file", node.dir + "/big", "-q").stdout.strip()
        named, text = export(node), export(node, "--files", node.dir + "/files")
        strange, nothing = imported(other, named)
        done, counts = imported(other, text)
        again, twice = imported(other, text)
        back, known = imported(node, named)
        got = other.troupe("get", task, "--output", other.dir + "/got")
        same = open(other.dir + "/got", "rb").read() == big
        return strange.returncode == 65 and nothing["refused"] == 1 and counts["accepted"] == 1 and twice["duplicate"] == 1 and known["duplicate"] == 1 and got.returncode == 0 and same, \
            said(strange), said(done), said(again), said(back)
    return with_nodes(2, go)


@story("a wrong line, a line without an id, and a queue that is not there end the import with what to do")
def _():
    def go(node):
        wrong = node.troupe("import", "-", input='{"queue":"q","id":"%s","payload":"x"}\n{"queue":\n' % node.new_id())
        nameless = node.troupe("import", "-", input='{"queue":"q","payload":"x"}\n')
        queue = node.troupe("import", "-", input='{"queue":"qq","id":"%s","payload":"x"}\n' % node.new_id())
        nothing = node.troupe("import", node.dir + "/no")
        empty = node.troupe("import", "-", input="")
        return wrong.returncode == 65 and "line 2" in wrong.stderr and "run the same command again" in wrong.stderr and nameless.returncode == 65 and "submit --bulk" in nameless.stderr and \
            queue.returncode == 3 and "did you mean q" in queue.stderr and nothing.returncode == 66 and empty.returncode == 0, said(wrong), said(nameless), said(queue), said(nothing), said(empty)
    return with_nodes(1, go)


tell_all()
