#!/usr/bin/env python3
"""soak.py BUILD [--seconds N] [--children N] [--seed S]: all that may happen to a tree of many small children, at once and for a while.

A seeded random sends SIGKILL, SIGSEGV and SIGSTOP to children (some stopped ones go on after a while, others the watchdog has to find), gives orders (start, stop, restart,
kill) as operators would, and kills trouped itself now and then, with orders under way. Meanwhile /proc is swept: no child may live twice, none that was ordered to stop may
live at all, nothing may live without trouped above it. After each start of trouped exactly that is stopped whose last acknowledged order was to stop. Then: the limit on
restarts held over all of trouped's lives, the journal's decisions come out the same when they are made again, and trouped is not bigger than it was at the beginning.

The seed fixes what is done, not when the machine does it: where a point fails, log and journals are kept."""
import argparse, collections, glob, os, random, re, shutil, signal, subprocess, sys, tempfile, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, Tap, kill, until

parser = argparse.ArgumentParser()
parser.add_argument("build", type=os.path.abspath)
parser.add_argument("--seconds", type=float, default=40)
parser.add_argument("--children", type=int, default=40)
parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
options = parser.parse_args()

INTENSITY, PERIOD_MS = 4, 3000  # of supervisor "limited"
CALLS_MAX = 4
RESTS = {"up", "stopped", "failed"}
HEAD = 'run_dir = "%(dir)s/run"\nstate_dir = "%(dir)s/state"\nuser = ""\nstop_timeout = "25s"\nsupervisor "root" {\n  actor "topic:events" { }\n  actor "front:main" { }\n'
names = ["c%03d" % i for i in range(options.children)]
tap, counts, bad = Tap(), collections.Counter(), collections.defaultdict(list)


def supervisor(name, keys, children):
    return '  supervisor "%s" {\n    %s\n' % (name, keys) + "".join('    child "%s" { command = {"%%(build)s/tests/stub", "-"}  ready = lifeline }\n' % c for c in children) + "  }\n"


def tree():
    """Two fifths one_for_one, a fifth with a limit, and groups of five."""
    a, b = options.children * 2 // 5, options.children * 3 // 5
    text = supervisor("flat", "strategy = one_for_one", names[:a])
    text += supervisor("limited", 'intensity = %d\n    period = "%dms"\n    on_give_up = keep' % (INTENSITY, PERIOD_MS), names[a:b])
    for i in range(b, options.children, 5):
        strategy = "all_for_one" if (i - b) // 5 % 2 else "rest_for_one"
        text += supervisor("%s-%d" % (strategy, i), "strategy = " + strategy, names[i:i + 5])
    return HEAD + text + "}\n"


# --- /proc ---

class Process(collections.namedtuple("Process", "pid begun parent state name incarnation")):
    def lives(self):
        """Still, and as the same one; what is exiting has no environment any more."""
        now = look_at(self.pid)
        return now is not None and now[:2] == self[:2] and now[4:] == self[4:] and now.state not in "ZX"


def look_at(pid):
    """None: it is gone. name is "" of what is not a child of this node."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            stat = f.read().rpartition(")")[2].split()
        with open("/proc/%d/environ" % pid, "rb") as f:
            environ = f.read().split(b"\0")
    except OSError:
        return None
    child = [e[13:].decode() for e in environ if e.startswith(b"TROUPE_CHILD=")] if mark in environ else []
    name, _, incarnation = child[0].rpartition(".") if child else ("", "", "0")
    return Process(pid, int(stat[19]), int(stat[1]), stat[0], name, int(incarnation))


def send(process, signo):
    """By a pidfd that was looked through: a number that is used again is never hit."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if process.lives():
            signal.pidfd_send_signal(fd, signo)
            return True
    except OSError:
        pass
    finally:
        os.close(fd)
    return False


class Watch(threading.Thread):
    """Sweeps /proc. held: names that may not have a process; living: {name: process} of the last sweep."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over, self.held, self.living, self.alone = threading.Event(), set(), {}, {}

    def run(self):
        try:
            while not self.over.wait(0.05):
                self.sweep()
                counts["sweeps"] += 1
        except Exception as e:  # a watch that has ended sees nothing wrong
            bad["twice"].append("the watch ended: %r" % e)

    def sweep(self):
        held = set(self.held)
        found = {p.pid: p for p in map(look_at, map(int, filter(str.isdigit, os.listdir("/proc")))) if p}
        ours = collections.defaultdict(list)
        for p in found.values():
            if p.name and p.state not in "ZX":
                ours[p.name].append(p)
        for name, processes in ours.items():
            last = max(processes, key=lambda p: p.incarnation)
            bad["twice"] += [(p, last) for p in processes if p.incarnation < last.incarnation and p.lives()]
            bad["held"] += [p for p in processes if name in held and p.lives() and name in self.held]
        self.look_above(found, [p for processes in ours.values() for p in processes])
        self.living = {name: processes[-1] for name, processes in ours.items()}

    def look_above(self, found, ours):
        now, was, self.alone = time.monotonic(), self.alone, {}
        for p in ours:
            above = p
            while above and above.pid != node.process.pid:
                above = found.get(above.parent)
            if not above:
                since = self.alone[p.pid, p.begun] = was.get((p.pid, p.begun), now)
                bad["alone"] += [(p, now - since)] if now - since > 2 and p.lives() else []


# --- orders ---

class Orders:
    """At most one call at a time for each child, and last: {name: "stop" or "start", whichever was acknowledged last, None: nobody knows}."""

    def __init__(self):
        self.calls, self.last = {}, dict.fromkeys(names, "start")

    def give(self, verb, name):
        if name in self.calls:
            return
        watch.held.discard(name)
        command = [options.build + "/actors/tools/troupe", "--timeout", "30s", "actor", verb, name] + ([] if verb == "start" else ["--yes"])
        self.calls[name] = verb, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=node.env), time.monotonic() + 60

    def random(self):
        dead = [name for name in names if name not in watch.living]
        verb = random.choices(["start", "stop", "restart", "kill"], [4, 3, 2, 1])[0]
        if len(self.calls) < CALLS_MAX:
            self.give(verb, random.choice(dead if verb == "start" and dead and random.random() < 0.9 else names))

    def collect(self):
        """True: none is under way."""
        for name, (verb, call, until_) in list(self.calls.items()):
            if call.poll() is None and time.monotonic() > until_:
                call.kill()
            elif call.poll() is None:
                continue
            self.account(name, verb, call.wait(), call.communicate()[0])
            del self.calls[name]
        return not self.calls

    def account(self, name, verb, status, said):
        # An order that makes no sense is known to change nothing; any other failure may have come before or after the effect.
        refused = status == 1 and re.search(": (running|restarting|noproc)", said)
        counts["%s %s" % (verb, "acknowledged" if status == 0 else "refused" if refused else "failed")] += 1
        if verb != "kill" and not refused:
            self.last[name] = None if status else "stop" if verb == "stop" else "start"
        if self.last[name] == "stop":
            watch.held.add(name)

    def finish(self):
        until(self.collect, 90, "the orders are answered")


# --- the node ---

def states():
    try:
        return {row["address"]: row["state"] for row in node.rows("tree", timeout=60)}
    except RuntimeError:
        return {}


def is_as_ordered():
    now = states()
    return now if now and all(now[name] == "up" for name in names if orders.last[name] == "start") else None


def kill_trouped():
    """With orders under way; what is acknowledged holds in the next life."""
    for _ in range(3):
        orders.random()
    time.sleep(random.random() * 0.02)  # any moment will do
    kill(node.process.pid)
    node.process.wait()
    begun = time.monotonic()
    try:
        until(lambda: not node.family(), 2, "nothing is alive")
    except TimeoutError:
        bad["left"].append(node.family())
    counts["slowest end, ms"] = max(counts["slowest end, ms"], int(1000 * (time.monotonic() - begun)))
    node.start()
    orders.finish()
    try:
        now = until(is_as_ordered, 60, "all but the held are up")
    except TimeoutError:
        now = states()
    bad["orders"] += [(name, order, now.get(name)) for name, order in orders.last.items() if order and now.get(name) != {"stop": "stopped", "start": "up"}[order]]
    counts["trouped killed"] += 1
    counts["held over a kill"] += sum(order == "stop" for order in orders.last.values())


def is_at_rest():
    now = states()
    return now and set(now.values()) <= RESTS and not any((now := look_at(p.pid)) and now.state == "T" for p in watch.living.values())


def measure():
    """trouped's memory in KiB, and its descriptors but for three of each child."""
    with open("/proc/%d/status" % node.process.pid) as f:
        rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    return rss, len(os.listdir("/proc/%d/fd" % node.process.pid)) - 3 * len(watch.living)


def hit():
    living = [p for name, p in watch.living.items() if name in orders.last]
    signo = random.choices([signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP], [6, 3, 2])[0]
    if living and send(victim := random.choice(living), signo):
        counts[signo.name] += 1
        if signo == signal.SIGSTOP and random.random() < 0.5:
            sleepers.append((time.monotonic() + random.uniform(1, 6), victim))


def wake(all_of_them=False):
    due = [s for s in sleepers if all_of_them or s[0] <= time.monotonic()]
    for at in due:
        sleepers.remove(at)
        counts["SIGCONT"] += send(at[1], signal.SIGCONT)


def soak():
    """What trouped held when a tenth was over."""
    begun, first, every = time.monotonic(), None, max(10, options.seconds / 10)
    due = begun + every
    while (now := time.monotonic()) < begun + options.seconds:
        wake()
        orders.collect()
        hit() if random.random() < 0.7 else orders.random()
        if not first and now >= begun + options.seconds / 10:
            wake(True)
            orders.finish()
            until(is_at_rest, 90, "the node is at rest")
            first = measure()
        elif now >= due:
            kill_trouped()
            due = time.monotonic() + every
        time.sleep(random.uniform(0.02, 0.2))  # the pace
    return first


# --- the journals ---

def journals():
    return [path for path in (node.dir + "/state/journal.1", node.dir + "/state/journal") if os.path.exists(path)]


def crowded():
    """Restarts of "limited" that were one too many in a period. What is forgotten (of itself, or by giving up a child over its limit) does not count."""
    times, at, over, found = [], 0, None, []
    for record in (line[9:].split() for path in journals() for line in open(path)):
        key = dict(word.split("=", 1) for word in record if "=" in word)
        if record[0] == "event":
            at, over = int(key.get("at", 0)), None
        elif record[:2] == ["does", "limit"] and key["above"] == "limited":
            over = key["child"]
            counts["over the limit"] += 1
        elif record[0] == "forget" and record[1] in ("limited", over):
            times = []
        elif record[0] == "does" and key.get("above") == "limited" and key.get("decision") in ("restart", "backoff"):
            times = [t for t in times if at - t <= PERIOD_MS] + [at]
            counts["restarts under the limit"] += 1
            found += [times] if len(times) > INTENSITY else []
    return found


def replay(path):
    return subprocess.run([options.build + "/supervisor/trouped", "--replay=" + path], capture_output=True, text=True, timeout=300)


def keep():
    to = tempfile.mkdtemp(prefix="troupe-soak.", dir="/tmp")
    for path in [node.log, node.config] + glob.glob(node.dir + "/state/journal*"):
        shutil.copy(path, to)
    tap.note("log and journals are kept in " + to)


def verdict(first):
    last, small = measure(), not node.is_sanitized()
    tap.point(not bad["left"], "a killed trouped leaves nothing alive for two seconds", *bad["left"])
    tap.point(not bad["orders"], "after each start what was last ordered to stop is stopped, and the others are up", *bad["orders"])
    tap.point(last[1] <= first[1] + 10 and (last[0] <= first[0] * 1.5 + 2048 or not small), "trouped holds no more memory and descriptors than at first", first, last)
    tap.note("memory %d, then %d KiB; descriptors besides children's %d, then %d" % (first[0], last[0], first[1], last[1]))
    status = node.stop()
    tap.point(status == 0 and not node.family(), "the node stops in order and leaves nothing", status, node.family(), node.tail())
    watch.over.set()
    watch.join()
    tap.point(not bad["twice"], "no child ever had two incarnations alive", *bad["twice"][:5])
    tap.point(not bad["held"], "what is ordered to stop has no process until it is ordered to start", *bad["held"][:5])
    tap.point(not bad["alone"], "nothing of the node lives for two seconds without trouped above it", *bad["alone"][:5])
    many = crowded()
    tap.point(not many, "a supervisor restarts no more than its limit in any period, whatever happens to trouped", *many[:5])
    done = [replay(path) for path in journals()]
    tap.point(done and all(d.returncode == 0 for d in done), "the decisions in the journal come out the same when they are made again", *[d.stdout + d.stderr for d in done])
    with open(node.log, errors="replace") as f:
        counts["found by the watchdog"] = f.read().count("reason=watchdog")
    tap.note(", ".join("%s %d" % pair for pair in sorted(counts.items())))


tap.note("--seconds %g --children %d --seed %d" % (options.seconds, options.children, options.seed))
random.seed(options.seed)
node, sleepers = Node(options.build, text=tree()), []
watch, orders = Watch(), Orders()
try:
    node.start()
    mark = ("TROUPE_NODE=" + node.id()).encode()
    watch.start()
    until(is_as_ordered, 60, "all are up")
    first = soak()
    orders.finish()
    for victim in random.sample(list(watch.living.values()), 0) + [watch.living[name] for name in random.sample(names, 3) if name in watch.living]:
        counts["SIGSTOP"] += send(victim, signal.SIGSTOP)
    tap.point(until(is_at_rest, 120, "the node is at rest"), "in the end all goes on by itself, also what is stopped (SIGSTOP)")
    verdict(first)
except (TimeoutError, RuntimeError, OSError) as e:
    tap.point(False, "the soak comes to its end", repr(e), states(), node.tail())
finally:
    if tap.failed:
        keep()
    watch.over.set()
    node.remove()
tap.end()
