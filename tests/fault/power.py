#!/usr/bin/env python3
"""power.py BUILD [WORD...]: case 3, power cuts. All that a real coordinator writes and syncs is recorded, and so is what its clients were told; then every disk that a power cut
could have left is opened again (image.c). TROUPE_LONG=1: a longer life, tens of thousands of images."""
import hashlib, os, random, re, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from node import Node, kill, until
from notes import notes
from stories import build, story, tap, tell_all
from wire import Wire, ask, first, pack, receipts, shown, submit, task, unpack, where

LONG = "TROUPE_LONG" in os.environ
here = os.path.dirname(os.path.abspath(__file__))
seed = int(os.environ.get("POWER_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
TEXT = """run_dir = "%(dir)s/run"
state_dir = "%(dir)s/state"
user = ""
disk_low_water = "1M"
queue "a" { backoff_base = "20ms"  max_attempts = 3 }
queue "b" { max_attempts = 1 }
supervisor "root" {
  actor "topic:events" { }
  actor "coordinator:main" { immediate = 1000  backoff_base = 0  env = {"LD_PRELOAD=%(build)s/tests/fault/librecord.so", "RECORD_DIR=%(dir)s/state/actors/coordinator/main", "RECORD_LOG=%(dir)s/record",
    "ASAN_OPTIONS=verify_asan_link_order=0"DIE} }
  actor "front:main" { }
  pool "a" { size = 2  mode = lines  queues = {"a"}  command = {"NOTING", "%(dir)s/record"} }
}
"""


class Client:
    """Submits, sends again under the same ids until it is answered, and notes what it was told."""

    def __init__(self, node, rng):
        self.node, self.rng, self.wire, self.note = node, rng, None, notes(node.dir + "/record")

    def hear(self, value):
        """One envelope; the ids that it acknowledges."""
        body, found = first(value, wire.SUBMITTED), []
        for id, _, _ in receipts(body) if body is not None else []:
            self.note("acknowledged " + shown(id))
            found.append(id)
        for n, t in unpack(first(value, 66, b"")): # Finished
            if n == 1:
                self.note("final " + shown(first(first(t, 1), 1)))
        return found

    def put(self, body):
        """A payload that is too large for a task; its reference. Sent until it is complete: who names it before is refused."""
        sha = hashlib.sha256(body).digest()
        self.ask(ask(90, pack((1, sha), (2, len(body)), (3, 0), (4, body))), lambda v: first(first(v, 91, b""), 2))
        return pack((1, sha), (2, len(body)))

    def submit(self, tasks):
        self.ask(ask(wire.SUBMIT, submit(*tasks) + pack((2, 1))), self.hear)

    def ask(self, envelope, is_answer):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if not self.wire:
                    self.wire = Wire(where(self.node), hello=True, patience=5)
                self.wire.send(pack((wire.FRAME_ENVELOPES, envelope)))
                while True:
                    envelopes = [v for n, v in unpack(self.wire.frame()) if n == wire.FRAME_ENVELOPES]
                    if any([is_answer(v) for v in envelopes]):
                        return
                    if any(first(v, wire.ERROR) for v in envelopes):
                        raise EOFError
            except (OSError, EOFError, wire.Refused):
                self.wire = None
                time.sleep(0.002)
        raise TimeoutError("a submit was not answered")

    def tasks(self):
        rng, queue = self.rng, self.rng.choice(["a", "a", "a", "b"])
        more = [(7, rng.choice([1, 50, 3600000]))] if rng.random() < 0.2 else []
        body = b"fail" if rng.random() < 0.1 else os.urandom(int(rng.choice([10, 100, 3000, 9000]) * rng.random())).hex().encode()
        if rng.random() < 0.06: # above 64 KiB: a file
            return [task(queue, b"", None, (23, self.put(os.urandom(70000 + rng.randrange(60000)))))]
        return [task(queue, body, None, *more) for _ in range(rng.choice([1, 1, 1, 3, 40]))]


def watch(node, over):
    """Asks which tasks are done, all the time, and of whoever lives just now."""
    note, w, known = notes(node.dir + "/record"), None, set()
    while not over.is_set():
        try:
            w = w or Wire(where(node), patience=5)
            for n, t in unpack(w.ask(ask(wire.LIST, pack((1, pack((2, 4))), (2, 1000))))):
                id = first(first(t, 1), 1) if n == 1 else None
                if id and id not in known:
                    known.add(id)
                    note("final " + shown(id))
        except (OSError, EOFError, wire.Refused):
            w = None


def live(node, n, killed):
    """A life of n submits, with cancels and deaths."""
    rng, over = random.Random(seed), threading.Event()
    client = Client(node, rng)
    node.start()
    watcher = threading.Thread(target=watch, args=(node, over))
    watcher.start()
    for i in range(n):
        client.submit(client.tasks())
        if rng.random() < 0.05:
            node.troupe("cancel", "--queue", "b", "--all", "--yes", "--timeout", "10s")
        if killed and rng.random() < 0.04:
            for pid in node.actors("coordinator:"):
                kill(pid)
    until(lambda: node.troupe("check-store").returncode == 0, 30, "the coordinator answers")
    over.set()
    watcher.join()
    node.kill_everything()


def images(node, n, *more):
    """What image says: (status, text, (images, refused, acknowledged, looked for, wrong))."""
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else node.dir
    work = "%s/troupe-image.%d" % (shm, os.getpid())
    command = [build + "/tests/fault/image", node.dir + "/record", node.dir + "/state/actors/coordinator/main", work, str(seed), str(n), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    subprocess.run(["rm", "-rf", work])
    counts = re.search(r"(\d+) syncs, (\d+) images, (\d+) refused, (\d+) tasks acknowledged, looked for (\d+) times, highest token (\d+), (\d+) wrong", done.stdout)
    tap.note("POWER_SEED=%d %s" % (seed, counts.group(0) if counts else "image ended with %d" % done.returncode))
    return done.returncode, done.stdout + done.stderr, [int(x) for x in counts.groups()] if counts else [0] * 7


def run(fn, die=0):
    node = Node(build, text=TEXT.replace("DIE", ', "RECORD_DIE=%d"' % die if die else "").replace("NOTING", here + "/noting.py"))
    try:
        return fn(node)
    finally:
        node.remove()


@story("case 3: whenever the power is cut, all that was acknowledged is there, what was told to be final is final, no token is given twice, and the store agrees with itself")
def _():
    def go(node):
        live(node, 300 if LONG else 60, True)
        status, text, counts = images(node, 30000 if LONG else 600)
        lies, lied, wrong = images(node, 60, "lie")
        return status == 0 and counts[1] > 500 and counts[3] > 100 and counts[5] > 20 and lies == 1 and wrong[6] > 0, text, "on a disk that lies:", lied
    return run(go)


@story("case 3: a coordinator that is killed while a commit is on its way to the disk, again and again, promises nothing that the next power cut takes back")
def _():
    def go(node):
        live(node, 150 if LONG else 40, False)
        status, text, counts = images(node, 10000 if LONG else 350)
        return status == 0 and counts[1] > 200 and counts[3] > 50, text
    return run(go, die=7)


tell_all()
