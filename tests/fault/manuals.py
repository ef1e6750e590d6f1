#!/usr/bin/env python3
"""manuals.py BUILD [PAGES]: the manual pages of this machine through a node while a killer goes about every role.

Each page is rendered, compressed and verified, a chain of three tasks; 80 pages are a batch with one task more that writes them to an index, in the order of the batches by a
serial key. Some fail at first. The queue of the first step has a limit. In the end the index must name every page with the sum that the same programs give
without a node, run by GNU parallel where there is one, and the time that this takes is printed beside the node's."""
import collections, glob, json, os, random, shutil, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, Tap, kill

build = os.path.abspath(sys.argv[1])
most = int(sys.argv[2]) if len(sys.argv) > 2 else 160
A_BATCH = 80
here = os.path.dirname(os.path.abspath(__file__))
seed = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
random.seed(seed)
tap = Tap()
tap.note("CHAOS_SEED=%d" % seed)
pages = sorted(p for p in glob.glob("/usr/share/man/man*/*") if os.path.isfile(p))
if most and len(pages) > most:
    pages = sorted(random.sample(pages, most))
if not pages or not shutil.which("mandoc"):
    tap.skip("manual pages through a node", "there are none here, or no mandoc")
    tap.end()

QUEUES = 'queue "render" { max_attempts = 60  poison_after = 0  backoff_base = "20ms"  concurrency = 4 }\n' + \
         'queue "compress" { max_attempts = 60  poison_after = 0  backoff_base = "20ms" }\nqueue "verify" { max_attempts = 60  poison_after = 0  backoff_base = "20ms" }\n' + \
         'queue "index" { max_attempts = 60  poison_after = 0  backoff_base = "20ms" }'
POOLS = '  pool "render" { size = 4  mode = exec  command = {"' + here + '/manual", "render", "%(dir)s/pages"} }\n' + \
        '  pool "pack" { size = 2  mode = lines  queues = {"compress", "verify"}  command = {"' + here + '/manual-lines", "%(dir)s/pages"} }\n' + \
        '  pool "index" { size = 1  mode = exec  command = {"' + here + '/manual", "index", "%(dir)s/pages"} }'
node = Node(build, QUEUES, POOLS)
folder = node.dir + "/pages"
os.mkdir(folder)
kills, over = collections.Counter(), threading.Event()


def batch(first):
    """One document of a batch."""
    some = range(first, min(first + A_BATCH, len(pages)))
    tasks = []
    for n in some:
        tasks += [{"name": "r%d" % n, "queue": "render", "payload": "%d %s\n" % (n, pages[n])},
                  {"name": "c%d" % n, "queue": "compress", "payload": str(n), "after": ["r%d" % n]},
                  {"name": "v%d" % n, "queue": "verify", "payload": str(n), "after": ["c%d" % n]}]
    tasks.append({"name": "index", "queue": "index", "payload": "".join("%d\n" % n for n in some), "serial": "index", "after": ["v%d" % n for n in some]})
    return json.dumps({"name": "pages %d to %d" % (some[0], some[-1]), "tasks": tasks})


def submit(first):
    """Sent again under the same id until it is acknowledged."""
    made = node.new_id()
    while True:
        done = node.troupe("--timeout", "5s", "submit", "--dag", "-", "--id", made, "-q", input=batch(first))
        if done.returncode == 0:
            return done.stdout.split()[0]
        if done.returncode not in (69, 75, 124, 74):
            raise RuntimeError(done.stderr)


def killer():
    while not over.wait(random.uniform(0.1, 0.6)):
        role = random.choices(["worker:", "program", "coordinator:", "front:", "topic:", "trouped"], [35, 30, 15, 6, 6, 4])[0]
        if role == "trouped":
            kill(node.process.pid)
            node.process.wait()
            node.start()
            kills[role] += 1
            continue
        if role == "program":
            actors = set(node.actors())
            pids = [pid for pid in node.family() if pid not in actors]
        else:
            pids = node.actors(role)
        if pids and kill(random.choice(pids)):
            kills[role] += 1


def directly(where):
    """{number: sum} by the programs alone."""
    os.mkdir(where)
    lines = "".join("%d %s\n" % (n, p) for n, p in enumerate(pages))
    command = ["parallel", "-j2", here + "/manual", "direct", where, "{}"] if shutil.which("parallel") else ["xargs", "-d", "\n", "-P2", "-I{}", here + "/manual", "direct", where, "{}"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True)
    return dict(line.split() for line in done.stdout.splitlines())


try:
    node.start()
    grim = threading.Thread(target=killer)
    grim.start()
    begun = time.monotonic()
    batches = [submit(first) for first in range(0, len(pages), A_BATCH)]
    submitted = time.monotonic() - begun
    for made in batches:
        while node.troupe("batch", "wait", made, "-q", "--timeout", "20s").returncode not in (0, 1):
            if time.monotonic() - begun > 120 + len(pages):
                raise TimeoutError("a batch does not end: " + node.troupe("batch", "show", made).stdout + node.tail())
    took = time.monotonic() - begun
    over.set()
    grim.join()
    tap.note("killed: " + ", ".join("%s %d" % (role.rstrip(":"), n) for role, n in sorted(kills.items())))
    rows = {row["batch"]: row for row in node.rows("batch", "list", "--limit", "0")}
    bad = [rows.get(made) for made in batches if rows.get(made, {}).get("state") != "succeeded"]
    tap.point(not bad, "every batch has succeeded", *bad[:3])
    with open(folder + "/index") as f:
        index = [line.split() for line in f if len(line.split()) == 2] # half a line is of an attempt that was killed
    order = list(dict.fromkeys(int(n) // A_BATCH for n, _ in index))
    tap.point(order == list(range(len(batches))), "the index was written in the order of the batches", order)
    begun = time.monotonic()
    alone = directly(folder + "/alone")
    parallel = time.monotonic() - begun
    wrong = [(n, pages[n]) for n in range(len(pages)) if alone.get(str(n)) != dict(index).get(str(n))]
    tap.point(not wrong, "each page is what the programs make of it without a node", *wrong[:5])
    tasks = sum(row["members"] for row in rows.values())
    attempts = sum(row["attempts"] for row in node.rows("list", "--limit", "0"))
    tap.note("%d pages, %d tasks, %d attempts: %.1f s (submitted in %.1f s), with a killer; without a node, 2 at a time: %.1f s" % (len(pages), tasks, attempts, took, submitted, parallel))
    check = node.troupe("check-store")
    tap.point(check.returncode == 0, "the ledger fits itself", check.stdout, check.stderr)
    tap.point(node.stop() == 0, "the node stops in order", node.tail())
finally:
    over.set()
    if os.environ.get("KEEP"):
        print("# " + node.dir)
        node.kill_everything()
    else:
        node.remove()
tap.end()
