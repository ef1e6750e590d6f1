#!/usr/bin/env python3
"""backlog.py BUILD [TASKS]: a long backlog of mixed priorities costs the coordinator no memory and no start-up, and is served in strict order."""
import os, random, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, Tap, kill, until

build = os.path.abspath(sys.argv[1])
many = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
few = many // 10 if many < 100000 else 10000
tap = Tap()
PROGRAM = """#!/usr/bin/env python3
import json, sys
order = open(sys.argv[1], "a")
print('{"hello":1,"max":64}', flush=True)
for line in sys.stdin:
    task = json.loads(line)
    if "task" in task:
        order.write(task["payload"] + "\\n")
        order.flush()
        print('{"done":"%s"}' % task["task"], flush=True)
"""


def anonymous(pid):
    """KiB of private memory that no file backs."""
    for line in open("/proc/%d/smaps_rollup" % pid):
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss_Anon")


def coordinator():
    return node.actors("coordinator:")[0]


def fill(n, begin):
    rng = random.Random(begin)
    path = node.dir + "/tasks"
    with open(path, "w") as f:
        for i in range(begin, begin + n):
            priority = rng.choice([0, 1000, 2000, 3000, 4000])
            f.write('{"payload":"%04d %09d","priority":%d}\n' % (priority, i, priority))
    done = node.troupe("submit", "q", "--bulk", path, "-q", timeout=900)
    if done.returncode:
        raise RuntimeError(done.stderr)


node = Node(build, 'queue "q" { }', '  pool "q" { size = 1  mode = lines  queues = {"q"}  command = {"%(dir)s/program", "%(dir)s/order"} }')
try:
    with open(node.dir + "/program", "w") as f:
        f.write(PROGRAM)
    os.chmod(node.dir + "/program", 0o755)
    node.start()
    node.troupe("queue", "pause", "q", "--why", "it is being filled")
    fill(few, 0)
    with_few = anonymous(coordinator())
    begun = time.monotonic()
    fill(many - few, few)
    took = time.monotonic() - begun
    with_many = anonymous(coordinator())
    tap.note("%d tasks: %d KiB, %d tasks: %d KiB of private memory; %.0f tasks a second by one client" % (few, with_few, many, with_many, (many - few) / took))
    tap.point(node.is_sanitized() or with_many - with_few < 20 * 1024, "the memory of %d tasks is that of %d" % (many, few), with_few, with_many)

    node.kill_everything()
    begun = time.monotonic()
    node.start()
    took = time.monotonic() - begun
    tap.note("ready after %.0f ms" % (took * 1000))
    tap.point(took < 1, "a node that was killed with this backlog is ready within a second", took)
    pid = coordinator()
    begun = time.monotonic()
    kill(pid)
    until(lambda: [p for p in node.actors("coordinator:") if p != pid] and node.troupe("ping", "coordinator:main").returncode == 0, 10, "the coordinator's successor answers")
    tap.note("the coordinator alone: %.0f ms from its kill to an answer" % ((time.monotonic() - begun) * 1000))

    node.troupe("queue", "resume", "q")
    look = min(many, 50000)
    until(lambda: os.path.exists(node.dir + "/order") and sum(1 for _ in open(node.dir + "/order")) >= look, 120, "%d tasks were served" % look)
    served = [line.rstrip("\n") for line in open(node.dir + "/order")][:look]
    rng, expected = {}, []
    for begin, n in ((0, few), (few, many - few)):
        r = random.Random(begin)
        expected += ["%04d %09d" % (r.choice([0, 1000, 2000, 3000, 4000]), i) for i in range(begin, begin + n)]
    expected.sort()
    wrong = [(i, a, b) for i, (a, b) in enumerate(zip(served, expected)) if a != b]
    tap.point(not wrong, "the first %d were served in strict order of priority, first come first served inside each" % look, wrong[:3])
finally:
    node.remove()
tap.end()
