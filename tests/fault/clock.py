#!/usr/bin/env python3
"""clock.py BUILD [STEP...]: case 6. The wall clock of a whole node is set an hour or ten years forward or back while tasks wait in every way. Nothing expires, nothing is lost; delays,
backoffs, deadlines and the time that results are kept go by what has elapsed; only run-at and cron follow the clock on the wall. TROUPE_LONG=1: the coordinator and the node begin
again under the new clock too, several times. The steps stand beside each other, each with a node of its own."""
import os, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire
from node import Node, Tap, kill, until
from wire import Wire, ask, pack, shown, submit, task, where

build = os.path.abspath(sys.argv[1])
LONG = "TROUPE_LONG" in os.environ
ASAN = "ASAN_OPTIONS=%s:verify_asan_link_order=0" % os.environ.get("ASAN_OPTIONS", "")
HOUR, YEARS = 3600, 10 * 365 * 24 * 3600
STEPS = {"an hour forward": HOUR, "an hour back": -HOUR, "ten years forward": YEARS, "ten years back": -YEARS}
EARLY, LATE = 0.3, 9 # seconds: a due task is looked at every ten when the clock was set, and the machine may be busy
TEXT = """run_dir = "%(dir)s/run"
state_dir = "%(dir)s/state"
user = ""
queue "work" { result_ttl = "1h"  backoff_base = "4s"  jitter = 0  timeout = "20s" }
queue "held" { }
supervisor "root" {
  actor "topic:events" { env = {PRELOAD} }
  actor "coordinator:main" { env = {PRELOAD} }
  actor "front:main" { env = {PRELOAD} }
  pool "work" { size = 3  mode = exec  queues = {"work", "held"}  program = "%(dir)s/worker"  command = {"%(dir)s/task", "%(dir)s"} }
}
""".replace("PRELOAD", '"LD_PRELOAD=%(build)s/tests/node/libwallclock.so", "WALLCLOCK_SHIFT=%(dir)s/shift", "' + ASAN + '"')
TASK = """#!/bin/sh
# A line with the time since the machine started, for each attempt. "fail" fails the first time, "slow" takes three seconds.
read -r what
read -r up idle </proc/uptime
echo "$TROUPE_TASK $up $TROUPE_ATTEMPT" >>"$1/ran"
case $what in
fail) [ "$TROUPE_ATTEMPT" -gt 1 ] || exit 1 ;;
slow) sleep 3 ;;
esac
echo "$what"
"""


def boot():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class World:
    def __init__(self):
        self.node = node = Node(build, text=TEXT)
        self.set(0)
        worker = "#!/bin/sh\nLD_PRELOAD=%s/tests/node/libwallclock.so WALLCLOCK_SHIFT=%s/shift %s exec %s/libexec/troupe-worker\n" % (build, node.dir, ASAN, build)
        for name, text in (("task", TASK), ("worker", worker)):
            with open(node.dir + "/" + name, "w") as f:
                f.write(text)
            os.chmod(node.dir + "/" + name, 0o755)
        self.env = {"LD_PRELOAD": build + "/tests/node/libwallclock.so", "WALLCLOCK_SHIFT": node.dir + "/shift", "ASAN_OPTIONS": ASAN[13:]}

    def set(self, seconds):
        with open(self.node.dir + "/shift.new", "w") as f:
            f.write(str(seconds))
        os.rename(self.node.dir + "/shift.new", self.node.dir + "/shift")
        self.shift = seconds

    def wall_ms(self, seconds=0):
        return int((time.time() + self.shift + seconds) * 1000)

    def submit(self, queue, body, *more):
        id = wire.new_id()
        with Wire(where(self.node)) as w:
            w.ask(ask(wire.SUBMIT, submit(task(queue, body.encode() + b"\n", id, *more))))
        return shown(id)

    def rows(self):
        return {row["id"]: row for row in self.node.rows("list", "--limit", "0")}

    def ran(self, id):
        """When each attempt of it began."""
        try:
            with open(self.node.dir + "/ran") as f:
                return [float(line.split()[1]) for line in f if line.startswith(id)]
        except FileNotFoundError:
            return []


def on_time(world, id, since, seconds, attempt=0):
    """Whether its attempt began as long after since as was asked for."""
    at = world.ran(id)
    return len(at) == attempt + 1 and -EARLY < at[attempt] - since - seconds < LATE, [round(t - since, 2) for t in at], seconds


def begin_again(world, how):
    if how == "coordinator":
        old = world.node.actors("coordinator:")
        for pid in old:
            kill(pid)
        until(lambda: world.node.actors("coordinator:") not in ([], old) and world.node.troupe("ping", "coordinator:main").returncode == 0, 20, "the successor answers")
    else:
        world.node.kill_everything()
        world.node.start(**world.env)


def step(seconds, restarts):
    """{sentence: (is it so, what was seen)}."""
    world = World()
    node, found = world.node, {}
    try:
        node.start(**world.env)
        done = [world.submit("work", "quick") for _ in range(10)]
        node.wait_all(done, 20)
        node.troupe("queue", "pause", "held")
        waiting = [world.submit("held", "quick") for _ in range(20)]
        began = boot()
        delayed = world.submit("work", "quick", (7, 5000))
        later = world.submit("work", "quick", (7, 3 * 3600 * 1000))
        mortal = world.submit("held", "quick", (11, world.wall_ms(6)))
        hardy = world.submit("held", "quick", (11, world.wall_ms(1800)))
        at = world.submit("work", "quick", (8, world.wall_ms(1800)))
        unique = world.submit("work", "quick", (12, "key"), (13, 1), (14, 2 * 3600 * 1000))
        node.wait_all([unique], 20)
        soon = time.gmtime(world.wall_ms(1800) / 1000)
        entry = node.troupe("cron", "add", "entry", "%d %d * * *" % (soon.tm_min, soon.tm_hour), "work", "quick", "--missed", "one")
        failing, slow = world.submit("work", "fail"), world.submit("work", "slow")
        until(lambda: len(world.ran(failing)) == 1 and world.rows()[failing]["state"] == "scheduled" and world.ran(slow), 20, "it failed once, and another is in work")
        failed = world.ran(failing)[0]

        world.set(seconds)
        stepped = boot()
        after = world.submit("work", "quick", (7, 2000))
        for how in restarts:
            begin_again(world, how)
        rows = world.rows()
        expired = [i for i in done + waiting + [hardy, later] if i not in rows] + [r for r in rows.values() if r["state"] in ("dead", "cancelled") and r["id"] != mortal]
        found["nothing expires of it, and nothing is lost"] = (not expired and all(rows[i]["state"] == "done" for i in done) and all(rows[i]["state"] == "ready" for i in waiting), expired[:3])
        results = node.troupe("result", *done)
        found["results are still there"] = (results.returncode == 0 and results.stdout.count("quick") == len(done), results.stderr)
        again = shown(wire.receipts(resubmit(world))[0][0])
        found["a unique key holds for its window"] = (again == unique, again, unique)

        wait = lambda id, n=1: until(lambda: len(world.ran(id)) >= n or boot() - began > 40, 60, "it runs, or does not")
        wait(after)
        found["a delay that begins after it is as long as it says"] = on_time(world, after, stepped, 2)
        wait(failing, 2)
        found["a backoff goes by what has elapsed"] = on_time(world, failing, failed, 4, 1)
        wait(delayed)
        found["a delay goes by what has elapsed"] = on_time(world, delayed, began, 5)
        if seconds > 0:
            wait(at)
            begun = [round(t - stepped, 2) for t in world.ran(at)]
            again = restarts.count("node") # its worker may have been killed at it
            found["run-at follows the wall clock"] = (1 <= len(begun) <= 1 + again and begun[0] < 13, begun)
        else:
            found["run-at follows the wall clock"] = (not world.ran(at), world.ran(at))
        crons = lambda: [r for r in world.rows().values() if r["submitter"].startswith("cron")]
        if seconds > 0:
            until(lambda: crons() or boot() - stepped > 20, 60, "the entry is due")
        found["a cron entry follows the wall clock, and makes one task where it missed its time"] = (entry.returncode == 0 and len(crons()) == (seconds > 0), entry.stderr, crons())
        until(lambda: world.rows()[mortal]["state"] == "dead" or boot() - began > 30, 60, "it expires, or does not")
        gone = boot() - began
        found["a deadline goes by what has elapsed"] = (world.rows()[mortal]["state"] == "dead" and 5 < gone < 6 + LATE + 10 and world.rows()[hardy]["state"] == "ready", gone, world.rows()[hardy])
        long_delay = world.rows().get(later, {})
        found["what is due in hours waits on"] = (long_delay.get("state") == "scheduled" and not world.ran(later), long_delay)
        ended = world.rows()[slow]
        found["what was in work ends as it would have"] = (ended["state"] == "done" and len(world.ran(slow)) <= 1 + len(restarts), ended)

        node.troupe("queue", "resume", "held")
        found["all that waited is done afterwards"] = (node.wait_all(waiting + [hardy], 30), "")
        check = node.troupe("check-store")
        found["the ledger fits itself"] = ("0 problems" in check.stdout, check.stdout, check.stderr)
    except (TimeoutError, RuntimeError, OSError, EOFError, wire.Refused, KeyError) as e:
        found["it comes to its end"] = (False, repr(e), node.tail()[-1500:])
    finally:
        try:
            node.remove()
        except RuntimeError as e:
            found["no sanitizer complains"] = (False, e)
    return found


def resubmit(world):
    with Wire(where(world.node)) as w:
        return w.ask(ask(wire.SUBMIT, submit(task("work", b"quick\n", None, (12, "key"), (13, 1), (14, 2 * 3600 * 1000)))))


tap = Tap()
wanted = sys.argv[2:]
restarts_of = [(), ("coordinator",), ("node",), ("coordinator", "node", "coordinator")] if LONG else [(), ("coordinator", "node")]
worlds = [(name + (", and all begins again" if restarts else ""), seconds, restarts) for restarts in restarts_of
          for name, seconds in STEPS.items() if not wanted or any(w in name for w in wanted)]
results = {}
threads = [threading.Thread(target=lambda w=w: results.__setitem__(w, step(w[1], w[2]))) for w in worlds]
for t in threads:
    t.start()
for t in threads:
    t.join()
for w in worlds:
    for sentence, result in results[w].items():
        tap.point(result[0], "case 6: the clock is set %s: %s" % (w[0] + (" (%s)" % " ".join(w[2]) if LONG and w[2] else ""), sentence), *result[1:])
tap.end()
