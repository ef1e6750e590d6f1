#!/usr/bin/env python3
"""supervision.py BUILD [WORD...]: trouped over real processes. Each story has a node of its own."""
import os, re, shutil, signal, socket, subprocess, time
from node import Node, exe, kill, until
from stories import FRONT, HEAD, build, here, lives, pid_of, run, story, stub, tap, tell_all, trace, tree


@story("children start in their order, each after the READY of the one before, and stop in reverse")
def _():
    def go(node):
        node.start()
        started = [e[0] + ":" + e[3] for e in lives(node)]
        node.stop()
        return started == ["a:start", "a:ready", "b:start", "b:ready", "c:start", "c:ready"] and trace(node, "end") == "c- b- a-", started, trace(node)
    return run(tree(stub("a", "ready=0.05"), stub("b", "ready=0.05"), stub("c")), go)


@story("a child that is killed has a successor at once, and its siblings do not notice")
def _():
    def go(node):
        node.start()
        other = pid_of(node, "b")
        kill(pid_of(node, "a"))
        begun = time.monotonic()
        until(lambda: len([1 for n, _, _, e in lives(node, "ready") if n == "a"]) == 2, 5, "a is ready again")
        took = time.monotonic() - begun
        numbers = [i for n, i, _, e in lives(node, "ready") if n == "a"]
        return took < 1 and numbers[1] > numbers[0] and pid_of(node, "b") == other and os.path.exists("/proc/%d" % other), took, lives(node)
    return run(tree(stub("a"), stub("b")), go)


@story("all_for_one: the others are stopped in reverse order, then all start in order")
def _():
    def go(node):
        node.start()
        kill(pid_of(node, "b"))
        until(lambda: trace(node).count("+") == 6, 5, "all are ready again")
        return trace(node) == "a+ b+ c+ c- a- a+ b+ c+", trace(node)
    return run(tree(stub("a"), stub("b"), stub("c"), strategy="all_for_one"), go)


@story("rest_for_one: those that were started after it, and no other")
def _():
    def go(node):
        node.start()
        kill(pid_of(node, "b"))
        until(lambda: trace(node).count("+") == 7, 5, "the rest is ready again")
        return trace(node) == "a+ b+ c+ d+ d- c- b+ c+ d+", trace(node)
    return run(tree(stub("a"), stub("b"), stub("c"), stub("d"), strategy="rest_for_one"), go)


@story("a transient child that ends well is not started again, one that fails is; a temporary one never is")
def _():
    def go(node):
        node.start()
        until(lambda: len([1 for n, _, _, e in lives(node, "start") if n == "fails"]) >= 3, 5, "fails was started again")
        count = {n: len([1 for m, _, _, e in lives(node, "start") if m == n]) for n in ("well", "once")}
        return count == {"well": 1, "once": 1}, count
    return run(tree(stub("well", "leave=0.05,0", restart="transient"), stub("once", "leave=0.05,9", restart="temporary"), stub("fails", "leave=0.05,9", restart="transient")), go)


@story("a child that never says READY is killed at its start timeout and tried again")
def _():
    def go(node):
        node.start(wait=False)
        until(lambda: len(lives(node, "start")) >= 2, 5, "a second try")
        first = lives(node, "start")[0][2]
        return not os.path.exists("/proc/%d" % first) and "start_timeout" in node.tail(), node.tail()
    return run(tree(stub("mute", "never", start_timeout='"300ms"')), go)


@story("a start that fails with a text is reported with it")
def _():
    def go(node):
        node.start(wait=False)
        until(lambda: "no sheep today" in node.tail() and "reason=start_failed" in node.tail(), 5, "the text and the reason in the log")
        return True,
    return run(tree(stub("sad", "fail=no sheep today")), go)


@story("a program that is not there is named with its path and the system's reason, and the others run")
def _():
    def go(node):
        node.start()
        return "/no/such/program" in node.tail() and "ENOENT" in node.tail() and len(lives(node, "ready")) == 1, node.tail()
    return run(tree('  child "ghost" { command = {"/no/such/program"} }\n', stub("b")), go)


@story("a child that hears neither STOP nor TERM is killed when its time is over, and the node's stop ends")
def _():
    def go(node):
        node.start()
        begun = time.monotonic()
        code = node.stop()
        took = time.monotonic() - begun
        return code == 0 and 0.4 <= took < 3 and trace(node, "end") == "a-", code, took, node.tail()
    return run(tree(stub("a"), stub("deaf", "deaf", shutdown='"500ms"')), go)


@story("a second TERM stops at once")
def _():
    def go(node):
        node.start()
        node.process.send_signal(signal.SIGTERM)
        until(lambda: lives(node, "stop"), 5, "the stop has begun")
        begun = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        node.process.wait(10)
        return time.monotonic() - begun < 2, node.tail()
    return run(tree(stub("slow", "stop=60", shutdown='"60s"')), go)


@story("what a child leaves behind dies with it, though it forked twice, has a session of its own and ignores TERM")
def _():
    def go(node):
        node.start()
        orphans = lambda: [p for p in node.family() if "orphan-of-a" in open("/proc/%d/cmdline" % p).read().replace("\0", " ")]
        first = until(orphans, 5, "the orphan is there")
        kill(pid_of(node, "a"))
        until(lambda: not any(os.path.exists("/proc/%d" % p) and open("/proc/%d/stat" % p).read().split()[2] != "Z" for p in first), 5, "the orphan is gone")
        until(lambda: trace(node).count("+") == 2, 5, "a is ready again")
        return True,
    return run(tree(stub("a", "orphan")), go)


@story("a killed trouped leaves nothing alive, and the next one comes up with higher incarnations")
def _():
    def go(node):
        node.start()
        was = max(i for _, i, _, _ in lives(node))
        kill(node.process.pid)
        node.process.wait()
        begun = time.monotonic()
        until(lambda: not [p for p in node.family() if exe(p)], 5, "nothing is alive")
        took = time.monotonic() - begun
        node.start()
        return took < 2 and max(i for _, i, _, _ in lives(node)) > was, took
    return run(tree(stub("a"), stub("deaf", "deaf")), go)


@story("what a killed trouped could not take along is killed by the next one before its first child")
def _():
    def go(node):
        node.start()
        until(lambda: [p for p in node.family() if "orphan-of" in open("/proc/%d/cmdline" % p).read()], 5, "the orphan is there")
        kill(node.process.pid)
        node.process.wait()
        left = [p for p in node.family() if "orphan-of" in open("/proc/%d/cmdline" % p).read()]
        node.start()
        alive = [p for p in left if exe(p)]
        return bool(left) and not alive, left, alive
    return run(tree(stub("a", "orphan")), go)


@story("a second trouped on the same state refuses, and names the owner")
def _():
    def go(node):
        node.start()
        second = subprocess.run([build + "/supervisor/trouped", "-c", node.config], capture_output=True, text=True, env=node.env, timeout=10)
        return second.returncode == 69 and "pid=%d" % node.process.pid in second.stderr and os.path.exists("/proc/%d" % pid_of(node, "a")), second.returncode, second.stderr
    return run(tree(stub("a")), go)


@story("a child has descriptors 0 to 3, a session of its own, no_new_privs, and nothing blocked or ignored")
def _():
    def go(node):
        node.start()
        pid = until(lambda: [p for p, n in node.family().items() if n.startswith("sleeper")], 5, "the sleeper")[0]
        status = dict(line.split(":\t", 1) for line in open("/proc/%d/status" % pid) if ":\t" in line)
        fds = sorted(os.listdir("/proc/%d/fd" % pid))
        ok = fds == ["0", "1", "2"] and os.getsid(pid) == pid and status["NoNewPrivs"].strip() == "1"
        return ok and int(status["SigBlk"], 16) == 0 and int(status["SigIgn"], 16) == 0, fds, status
    return run(tree('  child "sleeper" { command = {"/bin/sleep", "1000"} }\n'), go)


@story("trouped has one thread")
def _():
    def go(node):
        node.start()
        return len(os.listdir("/proc/%d/task" % node.process.pid)) == 1,
    return run(tree(stub("a"), front=True), go)


@story("a child that goes over its own limit is out of service, with an alarm, and its siblings stay")
def _():
    def go(node):
        node.start()
        row = lambda name: [r for r in node.rows("tree") if r["actor"] == name][0]
        until(lambda: row("bad")["state"] == "failed", 10, "bad is failed")
        starts = len([1 for n, _, _, e in lives(node, "start") if n == "bad"])
        events = node.troupe("events", "--limit", "50").stdout
        return starts == 4 and row("good")["state"] == "up" and row("good")["restarts"] == 0 and "actor.failed" in events, starts, events
    return run(tree(stub("good"), stub("bad", "leave=0.02,1", intensity="3", period='"60s"'), front=True), go)


@story("what keeps dying waits longer and longer")
def _():
    def go(node):
        node.start(wait=False)
        until(lambda: "backoff_alarm" in node.tail() or "backoff-alarm" in node.tail(), 10, "the alarm of the third wait")
        delays = [int(d) for d in re.findall(r"decision=backoff delay_ms=(\d+)", open(node.log).read())]
        return len(delays) >= 3 and delays[0] <= 120 and delays[2] > 2 * delays[0], delays
    return run(tree(stub("bad", "leave=0,1", immediate="2")), go)


@story("an operator's stop outlives the node, and a start ends it")
def _():
    def go(node):
        node.start()
        state = lambda: [r for r in node.rows("tree") if r["actor"] == "a"][0]["state"]
        ordered = node.troupe("actor", "stop", "a", "--yes").returncode
        stopped = state()
        node.kill_everything()
        node.start()
        kept = state()
        started = node.troupe("actor", "start", "a").returncode
        up = state()
        node.stop()
        node.start()
        return (ordered, stopped, kept, started, up, state()) == (0, "stopped", "stopped", 0, "up", "up"), ordered, stopped, kept, started, up
    return run(tree(stub("a"), front=True), go)


@story("a crash report says how, when, what it printed last, and what was done; it outlives the node")
def _():
    def go(node):
        node.start()
        pid = pid_of(node, "a")
        until(lambda: "the last words" in node.troupe("logs", "a").stdout, 5, "the last words in the log of a")
        kill(pid, signal.SIGSEGV)
        reports = until(lambda: [r for r in node.rows("crashes") if r["actor"] == "a"], 5, "the report")
        node.stop()
        node.start()
        text = node.troupe("crashes", str(reports[0]["crash"])).stdout
        return all(word in text for word in ("signal 11", "restart", "the last words", "pid %d" % pid)), text
    return run(tree(stub("a", "flood=0"), front=True), go)


@story("a child that floods its stderr costs trouped no memory, and its last words are kept")
def _():
    def go(node):
        node.start()
        until(lambda: "the last words" in node.troupe("logs", "a").stdout, 20, "the end of the flood")
        rss = int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % node.process.pid).read()).group(1))
        return rss < 30000 and os.path.getsize(node.log) < 40 << 20, rss, os.path.getsize(node.log)
    return run(tree(stub("a", "flood=50"), front=True), go)


@story("reload starts what is new, stops what is gone, leaves the rest alone, and refuses a wrong file whole")
def _():
    def go(node):
        node.start()
        kept = pid_of(node, "b")
        where = {"dir": node.dir, "build": build}
        good = tree(stub("b"), stub("c"), front=True) % where
        with open(node.config, "w") as f:
            f.write(good + "nonsense = 1\n")
        refused = node.troupe("reload")
        with open(node.config, "w") as f:
            f.write(good)
        trial = node.troupe("reload", "--dry-run").stdout
        unchanged = trace(node)
        done = node.troupe("reload")
        until(lambda: "c+" in trace(node) and "a-" in trace(node), 5, "c runs, a is gone")
        names = [r["actor"] for r in node.rows("tree")]
        ok = refused.returncode not in (0, 70) and "nonsense" in refused.stderr and unchanged == "a+ b+" and "c" in trial and "a" in trial
        return ok and done.returncode == 0 and pid_of(node, "b") == kept and "a" not in names and "c" in names, refused.stderr, trial, names
    return run(tree(stub("a"), stub("b"), front=True), go)


@story("a stopped process (SIGSTOP) is found, killed and started again")
def _():
    def go(node):
        node.start()
        kill(pid_of(node, "a"), signal.SIGSTOP)
        until(lambda: trace(node).count("a+") == 2, 40, "a is ready again")
        return "watchdog" in open(node.log).read(), node.tail()
    return run(tree(stub("a")), go)


@story("started as root it becomes the node's user for good")
def _():
    if os.geteuid() != 0:
        return True,
    def go(node):
        os.chmod(node.dir, 0o777)
        node.start()
        status = open("/proc/%d/status" % node.process.pid).read()
        child = until(lambda: [p for p, n in node.family().items() if n.startswith("s.")], 5, "the child")[0]
        uid = os.stat("/proc/%d" % child).st_uid
        return re.search(r"Uid:\t65534\t65534\t65534\t65534", status) and re.search(r"CapEff:\t0+\n", status) and uid == 65534, status, uid
    return run(tree('  child "s" { command = {"/bin/sleep", "1000"} }\n').replace('user = ""', 'user = "nobody"'), go)


@story("with users in the tree it stays root with few capabilities, and each child is its own user")
def _():
    if os.geteuid() != 0:
        return True,
    def go(node):
        os.chmod(node.dir, 0o777)
        node.start()
        caps = int(re.search(r"CapEff:\t([0-9a-f]+)", open("/proc/%d/status" % node.process.pid).read()).group(1), 16)
        uids = {}
        for p, n in until(lambda: len(node.family()) == 2 and node.family(), 5, "both children").items():
            uids[n.split(".")[0]] = os.stat("/proc/%d" % p).st_uid
        return bin(caps).count("1") == 5 and uids == {"one": 65534, "two": 2}, hex(caps), uids
    return run(tree('  child "one" { command = {"/bin/sleep", "1000"} }\n', '  child "two" { command = {"/bin/sleep", "1000"}  user = "bin" }\n').replace('user = ""', 'user = "nobody"', 1), go)


@story("in a group of its own it contains each child by cgroup, and leaves no group behind")
def _():
    mount = re.search(r"^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 ", open("/proc/self/mountinfo").read(), re.M)
    group = mount.group(1) + "/troupe-test.%d" % os.getpid() if mount else ""
    try:
        os.mkdir(group)
    except OSError:
        return True, # nobody lets us
    def go(node):
        node.start_in(group)
        inside = [d for d, _, _ in os.walk(group)]
        first = until(lambda: [p for p in node.family() if "orphan-of" in open("/proc/%d/cmdline" % p).read()], 5, "the orphan")
        kill(pid_of(node, "a"))
        until(lambda: trace(node).count("a+") == 2, 5, "a is ready again")
        gone = not any(exe(p) for p in first)
        node.stop()
        return len(inside) == 3 and gone, inside, first

    def removed(path):
        try:
            os.rmdir(path)
            return True
        except OSError: # the last of them is not quite gone
            return False
    try:
        return run(tree(stub("a", "orphan")), go)
    finally:
        for path, _, _ in os.walk(group, topdown=False):
            until(lambda: removed(path), 5, "the group can be removed")


@story("a node one of whose own actors cannot be started does not start, and tells nobody that it did")
def _():
    def go(node):
        os.mkdir(node.dir + "/libexec")
        for program in ("troupe-topic", "troupe-front"):
            os.symlink(build + "/libexec/" + program, node.dir + "/libexec/" + program)
        ready = node.start(wait=False, TROUPE_LIBEXECDIR=node.dir + "/libexec")
        status = node.process.wait(10)
        return status == 70 and "coordinator:main" in node.tail() and "node is up" not in node.tail() and not ready, status, node.tail()
    return run(HEAD + 'supervisor "root" {\n' + FRONT + '  actor "coordinator:main" { }\n}\n', go)


@story("an actor that crashes at the node's start is waited for; a pool that cannot start is not")
def _():
    def go(node):
        node.start(TROUPE_FAULT="coordinator/recover.after_open", TROUPE_FAULT_ONCE=node.dir + "/once")
        up = re.search(r"(?s)msg=start_failed child=coordinator:main.*msg=up child=coordinator:main", node.tail())
        return up and node.troupe("ping", "coordinator:main").returncode == 0, node.tail()
    return run(HEAD + 'queue "q" { }\nsupervisor "root" {\n' + FRONT + '  actor "coordinator:main" { }\n'
               '  pool "p" { size = 1  mode = lines  queues = {"q"}  command = {"/nowhere"} }\n}\n', go)


@story("the guard of -d starts a killed trouped again, also one whose configuration is being edited")
def _():
    def go(node):
        pid_file = node.dir + "/pid"
        with open(node.log, "a") as log:
            started = subprocess.run([build + "/supervisor/trouped", "-c", node.config, "-d", "-p", pid_file], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=node.env, timeout=30)
        guard = int(open(pid_file).read())
        try:
            status = lambda: node.rows("status")[0] if node.troupe("status").returncode == 0 else {}
            first = status()["pid"]
            good = open(node.config).read()
            open(node.config, "a").write("not a configuration\n")
            kill(first)
            until(lambda: "number=78" in node.tail(), 10, "the configuration is refused")
            open(node.config, "w").write(good)
            until(lambda: status().get("pid", first) != first, 10, "the next trouped is up")
            same = int(open(pid_file).read()) == guard
        finally:
            os.kill(guard, signal.SIGTERM)
            until(lambda: not exe(guard), 15, "the guard ends")
        return started.returncode == 0 and first != guard and same and not os.path.exists(pid_file), first, guard
    return run(HEAD + 'supervisor "root" {\n' + FRONT + '  actor "coordinator:main" { }\n}\n', go)


@story("the service manager hears READY, then of life only by a coordinator's commit, then STOPPING")
def _():
    address = "/tmp/troupe-notify.%d" % os.getpid()
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    door.bind(address)
    door.settimeout(0.01)
    heard = []

    def hears(word):
        try:
            while True:
                heard.append(door.recv(4096).decode())
        except TimeoutError:
            pass
        return any(word in text for text in heard)

    def go(node):
        node.start(NOTIFY_SOCKET=address, WATCHDOG_USEC="600000")
        until(lambda: hears("READY=1"), 5, "READY")
        until(lambda: hears("WATCHDOG=1"), 5, "WATCHDOG")
        coordinator = node.actors("coordinator:")[0]
        os.kill(coordinator, signal.SIGSTOP)
        end = time.monotonic() + 1 # an answer that was under way may still come
        while time.monotonic() < end:
            hears("")
        del heard[:]
        silent = not any(hears("WATCHDOG=1") for _ in range(100))
        os.kill(coordinator, signal.SIGCONT)
        until(lambda: hears("WATCHDOG=1"), 5, "WATCHDOG of a coordinator that goes on")
        node.stop()
        return silent and hears("STOPPING=1"), silent, heard
    try:
        return run(HEAD + 'supervisor "root" {\n' + FRONT + '  actor "coordinator:main" { }\n}\n', go)
    finally:
        door.close()
        os.unlink(address)


@story("linked children die together of an abnormal end, a trap turns it into a DOWN, and nobody is a link to the dead")
def _():
    def go(node):
        node.start()
        starts = lambda n: len([1 for m, _, _, e in lives(node, "ready") if m == n])
        kill(pid_of(node, "a"))
        until(lambda: [starts(n) for n in "abc"] == [2, 2, 2], 5, "a is new, and so are b and c, in a chain of links")
        until(lambda: "down" in [e for n, _, _, e in lives(node) if n == "t"], 5, "the one that traps is told")
        same = re.findall(r"msg=down child=([abc]) .*?reason=(\w+)", open(node.log).read())
        node.troupe("actor", "stop", "q", "--yes")
        until(lambda: "s" in [n for n, _, _, e in lives(node, "down")], 5, "told of a stop, too")
        until(lambda: "reason=noproc" in open(node.log).read(), 10, "the end of one that links to nobody")
        counts = {n: starts(n) for n in "abctqs"}
        return counts == {"a": 2, "b": 2, "c": 2, "t": 1, "q": 1, "s": 1} and sorted(same) == [("a", "signal"), ("b", "signal"), ("c", "signal")], counts, same
    return run(tree(stub("a"), stub("b", "link=a"), stub("c", "link=b"), stub("t", "link=a,trap"), stub("q"), stub("s", "link=q,trap"), stub("lonely", "link=nobody", restart="temporary"), front=True), go)


@story("links of the configuration hold for every pair of lives, and do not go round in circles")
def _():
    def go(node):
        node.start()
        starts = lambda n: len([1 for m, _, _, e in lives(node, "ready") if m == n])
        for round in (2, 3):
            kill(pid_of(node, "b" if round == 2 else "a"))
            until(lambda: starts("a") == round and starts("b") == round, 5, "both are new")
        return starts("c") == 1 and (starts("a"), starts("b")) == (3, 3), lives(node, "ready")
    return run(tree(stub("a", links='{"b"}'), stub("b"), stub("c")), go)


@story("a worker that dies is followed by its pool's spare, which takes its name and limits, and a new spare is made")
def _():
    def go(node):
        shutil.copy2(os.path.realpath(build + "/libexec/troupe-worker"), node.dir + "/worker")
        node.start()
        spare = lambda: [p for p, n in node.family().items() if n.startswith("spare:fast.")]
        worker = lambda: [p for p, n in node.family().items() if n.startswith("worker:fast/1.")]
        waiting = until(spare, 5, "a spare of the pool")
        none = [n for n in node.family().values() if n.startswith("spare:plain.")]
        kill(until(worker, 5, "the worker")[0])
        until(lambda: worker() == waiting, 5, "the spare is the worker")
        up = until(lambda: [r for r in node.rows("tree") if r["actor"] == "worker:fast/1" and r["state"] == "up" and r["pid"] == waiting[0]], 5, "it is up")
        done = node.troupe("submit", "fast", "x", "--wait", timeout=30).returncode
        again = until(lambda: spare() != waiting and spare(), 5, "another spare")
        # A program that was replaced meanwhile is what the next worker runs, not a spare of the old one.
        os.utime(node.dir + "/worker", (1, 1))
        kill(worker()[0])
        until(lambda: worker() and worker() != waiting, 5, "a new worker")
        fresh = worker() != again and until(lambda: [r for r in node.rows("tree") if r["actor"] == "worker:fast/1" and r["state"] == "up"], 5, "it is up")
        again = until(lambda: spare() != again and spare(), 5, "a spare of the new program")
        kill(again[0]) # one that dies unused is nobody's loss
        until(lambda: "a spare has ended" in open(node.log).read(), 5, "its end is told")
        return not none and len(up) == 1 and done == 0 and fresh and len(again) == 1, none, up, done, fresh, again
    pools = '  pool "fast" { command = {"/bin/cat"}  program = "%(dir)s/worker" }\n  pool "plain" { command = {"/bin/cat"}  spares = 0 }\n'
    return run(HEAD + 'queue "fast" { }\nqueue "plain" { }\nsupervisor "root" {\n' + FRONT + '  actor "coordinator:main" { }\n' + pools + '}\n', go)


tell_all()
