#!/usr/bin/env python3
"""soak.py BUILD [--seconds N] [--children N] [--seed S]: all that may happen to a tree of many small children, at once and for a while.

A seeded random sends SIGKILL, SIGSEGV and SIGSTOP to children (of the stopped ones half go on after a while, the others are left to the watchdog), gives orders as operators
would, and now and then kills trouped itself while orders are under way. Meanwhile /proc is swept: nobody may live twice, or after an order to stop, or without trouped above.
Then: the limit on restarts held over all of trouped's lives, the journal's decisions come out the same when they are made again, and trouped has not grown.
The seed fixes what is done, not when the machine does it: where a point fails, log and journals are kept."""
import argparse, collections, contextlib, glob, os, random, re, shutil, signal, subprocess, sys, tempfile, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, Tap, kill, until

parser = argparse.ArgumentParser()
parser.add_argument("build", type=os.path.abspath)
for option, default in ("--seconds", 40), ("--children", 40), ("--seed", int.from_bytes(os.urandom(4), "big")):
    parser.add_argument(option, type=int, default=default)
options = parser.parse_args()

CALLS_MAX, INTENSITY, PERIOD_MS = 4, 4, 3000
LIMIT = 'intensity = %d\n    period = "%dms"\n    on_give_up = keep' % (INTENSITY, PERIOD_MS)
REST, STATE = {"up", "stopped", "failed"}, {"stop": "stopped", "start": "up"}  # that a child may stay in; that an order leaves behind
HEAD = 'run_dir = "%(dir)s/run"\nstate_dir = "%(dir)s/state"\nuser = ""\nstop_timeout = "25s"\nsupervisor "root" {\n  actor "topic:events" { }\n  actor "front:main" { }\n'
names = ["c%03d" % i for i in range(options.children)]
tap, counts, bad = Tap(), collections.Counter(), collections.defaultdict(list)


def tree():
    """Two fifths one_for_one, a fifth with a limit, the others in groups of five."""
    a, b = options.children * 2 // 5, options.children * 3 // 5
    groups = [("flat", "strategy = one_for_one", names[:a]), ("limited", LIMIT, names[a:b])]
    groups += [("group-%d" % i, "strategy = " + ("rest_for_one", "all_for_one")[(i - b) // 5 % 2], names[i:i + 5]) for i in range(b, options.children, 5)]
    child = '    child "%s" { command = {"%%(build)s/tests/stub", "-"}  ready = lifeline }\n'
    return HEAD + "".join('  supervisor "%s" {\n    %s\n%s  }\n' % (name, keys, "".join(child % c for c in children)) for name, keys, children in groups) + "}\n"


class Process(collections.namedtuple("Process", "pid begun parent state name incarnation")):
    def lives(self):
        """Still, and as the same one; what is exiting has no environment any more."""
        now = look_at(self.pid)
        return now is not None and now._replace(parent=0, state="") == self._replace(parent=0, state="") and now.state not in "ZX"


def look_at(pid):
    """None: it is gone. name is "" of what is not a child of this node."""
    with contextlib.suppress(OSError), open("/proc/%d/stat" % pid) as f, open("/proc/%d/environ" % pid, "rb") as g:
        stat, environ = f.read().rpartition(")")[2].split(), g.read().split(b"\0")
        child = [e[13:].decode() for e in environ if e.startswith(b"TROUPE_CHILD=")] if mark in environ else []
        name, _, incarnation = child[0].rpartition(".") if child else ("", "", "0")
        return Process(pid, int(stat[19]), int(stat[1]), stat[0], name, int(incarnation))
    return None


def send(process, signo):
    """By a pidfd, looked through: a number that is used again is not hit."""
    with contextlib.suppress(OSError), open(os.pidfd_open(process.pid), "rb", 0) as fd:
        if process.lives():
            signal.pidfd_send_signal(fd.fileno(), signo)
            counts[signo.name] += 1
            return True


class Watch(threading.Thread):
    """Sweeps /proc. held: names that may not have a process. living: {name: process} of the last sweep."""
    over, held, living, alone = threading.Event(), set(), {}, {}

    def run(self):
        while not self.over.wait(0.05):
            self.sweep()
            counts["sweeps"] += 1

    def sweep(self):
        held, ours = set(self.held), collections.defaultdict(list)
        found = {p.pid: p for p in map(look_at, map(int, filter(str.isdigit, os.listdir("/proc")))) if p}
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


class Orders:
    """At most one call at a time for each child. last: {name: "stop" or "start", whichever was acknowledged last; None: an order failed, nobody knows}."""
    calls, last = {}, dict.fromkeys(names, "start")

    def give(self):
        verb, dead = random.choices(["start", "stop", "restart", "kill"], [3, 5, 2, 1])[0], [name for name in names if name not in watch.living]
        name = random.choice(dead if verb == "start" and dead and random.random() < 0.9 else names)
        if name in self.calls or len(self.calls) == CALLS_MAX:
            return
        watch.held.discard(name)
        command = [options.build + "/actors/tools/troupe", "--timeout", "30s", "actor", verb, name] + ["--yes"] * (verb != "start")
        self.calls[name] = verb, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=node.env)

    def collect(self):
        """True: none is under way."""
        for name, (verb, call) in list(self.calls.items()):
            if call.poll() is not None:
                self.account(name, verb, call.returncode, call.communicate()[0])
                del self.calls[name]
        return not self.calls

    def account(self, name, verb, status, said):
        """An order that makes no sense is known to change nothing; another failure may have come before its effect or after."""
        refused = status == 1 and re.search(": (running|restarting|noproc)", said)
        counts["%s %s" % (verb, "done" if status == 0 else "refused" if refused else "failed")] += 1
        if verb != "kill" and not refused:
            self.last[name] = None if status else "stop" if verb == "stop" else "start"
        if self.last[name] == "stop":
            watch.held.add(name)


def rows():
    """{name: (state, pid)}; {}: the node does not answer."""
    with contextlib.suppress(RuntimeError):
        return {row["address"]: (row["state"], row["pid"]) for row in node.rows("tree", timeout=60)}
    return {}


def all_but_held_are_up():
    now = rows()
    return now and all(now[name][0] == "up" for name, order in orders.last.items() if order == "start")


def is_at_rest():
    now = rows()
    going = {p.pid for p in map(look_at, node.family()) if p and p.state != "T"}
    return now and all(state in REST for state, _ in now.values()) and {pid for _, pid in now.values() if pid} == going == set(node.family())


def measure():
    """trouped's memory in KiB, and its descriptors but for three of each child."""
    until(orders.collect, 90, "the orders are answered")
    until(is_at_rest, 120, "the node is at rest")
    with open("/proc/%d/status" % node.process.pid) as f:
        rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    return rss, len(os.listdir("/proc/%d/fd" % node.process.pid)) - 3 * len(node.family())


def kill_trouped():
    for _ in range(3):
        orders.give()
    time.sleep(random.random() * 0.02)  # not to wait for anything: any moment of theirs will do
    kill(node.process.pid)
    node.process.wait()
    begun = time.monotonic()
    with contextlib.suppress(TimeoutError):
        until(lambda: not node.family(), 2, "nothing is alive")
    bad["alone"] += node.family().items()
    counts["slowest end, ms"] = max(counts["slowest end, ms"], int(1000 * (time.monotonic() - begun)))
    node.start()
    until(orders.collect, 90, "the orders are answered")
    with contextlib.suppress(TimeoutError):
        until(all_but_held_are_up, 60, "all but the held are up")
    now = rows()
    bad["orders"] += [(name, order, now.get(name)) for name, order in orders.last.items() if order and now.get(name, ("", 0))[0] != STATE[order]]
    counts["trouped killed"] += 1
    counts["held over a kill"] += sum(order == "stop" for order in orders.last.values())


def hit(may_stop):
    living = [p for name, p in watch.living.items() if name in orders.last]
    signo = random.choices([signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP], [6, 3, 2 * may_stop])[0]
    if living and send(victim := random.choice(living), signo) and signo == signal.SIGSTOP and random.random() < 0.5:
        sleepers.append((time.monotonic() + 4, victim))


def soak():
    """What trouped held when a tenth of the time was over."""
    begun, first, every = time.monotonic(), None, max(10, options.seconds / 10)
    due = begun + every
    while (now := time.monotonic()) < begun + options.seconds:
        while sleepers and sleepers[0][0] < now:
            send(sleepers.pop(0)[1], signal.SIGCONT)
        orders.collect()
        hit(first is not None) if random.random() < 0.7 else orders.give()
        if not first and now >= begun + options.seconds / 10:
            first = measure()
        if now >= due:
            kill_trouped()
            due = now + every
        time.sleep(random.uniform(0.02, 0.2))  # the pace
    for name in sorted(watch.living.keys() & names)[::7]:
        send(watch.living[name], signal.SIGSTOP)
    return first


def crowded(journals):
    """Restarts of "limited" that were one too many in a period. What it forgets, by an order or when it gives up a child, does not count."""
    times, at, over, found = [], 0, None, []
    for record in (line[9:].split() for path in journals for line in open(path)):
        key = dict(word.split("=", 1) for word in record if "=" in word)
        if record[0] == "event":
            at, over = int(key.get("at", 0)), None
        elif record[:2] == ["does", "limit"] and key["above"] == "limited":
            over = key["child"]
            counts["over the limit"] += 1
            counts["over the limit too early"] += sum(at - t <= PERIOD_MS for t in times) < INTENSITY
        elif record[0] in ("forget", "forget_group") and record[1] in ("limited", over):
            times = []
        elif record[0] == "does" and key.get("above") == "limited" and key.get("decision") in ("restart", "backoff"):
            times = [t for t in times if at - t <= PERIOD_MS] + [at]
            counts["restarts under the limit"] += 1
            found += [times] if len(times) > INTENSITY else []
    return found


def verdict(first):
    last = measure()
    tap.point(True, "in the end all goes on by itself, also what is stopped (SIGSTOP)")
    tap.point(last[1] <= first[1] + 10 and (last[0] <= first[0] * 1.5 + 2048 or node.is_sanitized()), "trouped holds no more memory and descriptors than at first", first, last)
    tap.note("memory %d, then %d KiB; descriptors besides children's %d, then %d" % (first[0], last[0], first[1], last[1]))
    status, swept = node.stop(), watch.is_alive()
    tap.point(status == 0 and not node.family(), "the node stops in order and leaves nothing", status, node.family(), node.tail())
    watch.over.set()
    watch.join()
    tap.point(not bad["orders"] and not bad["held"], "what is ordered to stop is so until an order to start, and nothing else is when trouped comes up", *(bad["orders"] + bad["held"])[:9])
    tap.point(swept and not bad["twice"], "no child ever had two incarnations alive", *bad["twice"][:9])
    tap.point(not bad["alone"], "nothing of the node lives for two seconds without trouped", *bad["alone"][:9])
    journals = sorted(glob.glob(node.dir + "/state/journal*"), reverse=True)  # journal.1 comes before journal
    tap.point(not (many := crowded(journals)), "a supervisor restarts no more than its limit in any period, whatever happens to trouped", *many[:9])
    again = [subprocess.run([options.build + "/supervisor/trouped", "--replay=" + path], capture_output=True, text=True, timeout=300) for path in journals]
    tap.point(again and all(r.returncode == 0 for r in again), "the decisions in the journals come out the same when they are made again", *[r.stdout + r.stderr for r in again])
    counts["found by the watchdog"] = open(node.log, errors="replace").read().count("reason=watchdog")
    tap.note(", ".join("%s %d" % pair for pair in sorted(counts.items())))


tap.note("--seconds %d --children %d --seed %d" % (options.seconds, options.children, options.seed))
random.seed(options.seed)
node, watch, orders, sleepers = Node(options.build, text=tree()), Watch(daemon=True), Orders(), []
node.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0"  # the SIGSEGV that are sent are nobody's error
try:
    node.start()
    mark = ("TROUPE_NODE=" + node.id()).encode()
    watch.start()
    until(all_but_held_are_up, 60, "all are up")
    verdict(soak())
except (TimeoutError, RuntimeError, OSError, subprocess.SubprocessError) as e:
    tap.point(False, "the soak comes to its end", repr(e), rows(), *map(str, bad.items()), node.tail())
finally:
    if tap.failed:
        kept = tempfile.mkdtemp(prefix="troupe-soak.", dir="/tmp")
        for path in [node.log, node.config, *glob.glob(node.dir + "/state/journal*")]:
            shutil.copy(path, kept)
        tap.note("log and journals are kept in " + kept)
    node.remove()
tap.end()
