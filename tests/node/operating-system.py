#!/usr/bin/env python3
"""operating-system.py BUILD [WORD...]: what only an operating system can do to a supervisor. Each story has a node of its own."""
import glob, math, os, random, re, signal, socket, subprocess, threading, time
from node import crash_signal, exe, kill, until
from stories import FRONT, HEAD, build, here, lives, pid_of, run, story, stub, trace, tree, tell_all


def zombies(pid):
    """Children of pid that are dead and not reaped."""
    found = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat) as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == pid:
            found.append(stat)
    return found


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def named(node, text):
    """Living processes of the node whose command line holds text."""
    found = []
    for pid in node.family():
        try:
            with open("/proc/%d/cmdline" % pid) as f:
                if text in f.read().replace("\0", " ") and is_alive(pid):
                    found.append(pid)
        except OSError:
            pass
    return found


def rss_kib(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def row(node, name):
    return [r for r in node.rows("tree") if r["actor"] == name][0]


def bare(name, **keys):
    """A stub that is ready at once and needs nobody."""
    return '  child "%s" { ready = lifeline  command = {"%s/tests/stub", "-"}%s }\n' % (name, build, "".join("  %s = %s" % pair for pair in keys.items()))


@story("L01: a program that is not there, or may not be executed, is a start error with its path and errno within 100 ms")
def _():
    def go(node):
        plain = node.dir + "/plain"
        open(plain, "w").close()
        node.start()
        answers = {}
        for name in ("gone", "plain"):
            node.troupe("actor", "stop", name, "--yes")
            began = time.monotonic()
            said = node.troupe("actor", "start", name)
            answers[name] = (said.returncode, said.stdout, time.monotonic() - began)
        ok = "ENOENT" in answers["gone"][1] and "/no/such/program" in answers["gone"][1] and "EACCES" in answers["plain"][1] and plain in answers["plain"][1]
        log = open(node.log).read()
        begun = re.findall(r'ts=\S+T(\S+)Z .*msg="cannot start" child=gone', log)
        return ok and all(code == 1 for code, _, _ in answers.values()) and "127" not in "".join(t for _, t, _ in answers.values()) and begun and \
            all(took < (0.1 if not node.is_sanitized() else 1) + 0.15 for _, _, took in answers.values()), answers # 0.15: the tool's own start
    return run(tree('  child "gone" { command = {"/no/such/program"} }\n', '  child "plain" { command = {"%(dir)s/plain"} }\n', bare("b"), front=True), go)


@story("L03: a killed child's grandchild in a session of its own that ignores TERM is gone before the successor starts")
def _():
    def go(node):
        node.start()
        orphan = until(lambda: named(node, "orphan-of-a"), 5, "the grandchild")[0]
        seen = []
        watching = threading.Event()

        def watch():
            while not watching.is_set():
                if len(lives(node, "start")) > 1:
                    seen.append(is_alive(orphan))
                    return
        t = threading.Thread(target=watch)
        t.start()
        kill(pid_of(node, "a"))
        until(lambda: trace(node).count("a+") == 2, 5, "a is ready again")
        watching.set()
        t.join()
        return seen == [False] and not is_alive(orphan) and not zombies(node.process.pid), seen, zombies(node.process.pid)
    return run(tree(stub("a", "orphan")), go)


@story("L04: a child that forks twice and exits 0 has ended by its type, and what it left is found, killed and told")
def _():
    def go(node):
        node.start(wait=False)
        until(lambda: "decision=done" in node.tail(), 5, "the end, as a transient's")
        until(lambda: not named(node, "sleep 977"), 5, "the daemon is gone")
        return "reason=normal" in node.tail() and not zombies(node.process.pid), node.tail()
    daemon = '  child "d" { restart = transient  command = {"/bin/sh", "-c", "(setsid /bin/sleep 977 &) ; exec sleep 0.1"} }\n'
    return run(tree(daemon, bare("b")), go)


@story("L06: ten thousand lives in a row leave no zombie, and descriptors and memory as they were")
def _():
    lives_wanted = int(os.environ.get("TROUPE_LIVES", "2000"))

    def go(node):
        node.start()
        pid = node.process.pid
        count = lambda: sum(r["restarts"] for r in node.rows("tree") if r["actor"].startswith("q"))
        until(lambda: count() > lives_wanted // 10, 60, "the first tenth of them")
        before = (rss_kib(pid), len(os.listdir("/proc/%d/fd" % pid)))
        until(lambda: count() > lives_wanted, 240, "all of them")
        after = (rss_kib(pid), len(os.listdir("/proc/%d/fd" % pid)))
        until(lambda: not zombies(pid), 5, "no zombie")
        return (node.is_sanitized() or after[0] < before[0] * 1.25 + 1024) and after[1] <= before[1] + 12, before, after
    quick = [f'  child "q{i}" {{ command = {{"/bin/true"}}  immediate = 1000  backoff_base = 0 }}\n' for i in range(4)]
    return run(tree(*quick, front=True), go)


@story("L07: a killed trouped leaves nothing alive within 2 s, stopped processes neither, and the next one comes up")
def _():
    def go(node):
        node.start()
        kill(pid_of(node, "b"), signal.SIGSTOP)
        kill(node.process.pid)
        node.process.wait()
        begun = time.monotonic()
        until(lambda: not [p for p in node.family() if is_alive(p)], 2, "nothing is alive")
        took = time.monotonic() - begun
        node.start()
        return took < 2 and len(lives(node, "ready")) == 6, took, lives(node)
    return run(tree(stub("a"), stub("b"), stub("deaf", "deaf")), go)


@story("L10: a second trouped on the same state refuses with the owner's pid; after the owner was killed it may")
def _():
    def go(node):
        node.start()
        second = subprocess.run([build + "/supervisor/trouped", "-c", node.config], capture_output=True, text=True, env=node.env, timeout=10)
        undisturbed = is_alive(pid_of(node, "a"))
        kill(node.process.pid)
        node.process.wait()
        node.start()
        return second.returncode == 69 and "pid=%d" % (lives(node)[0][2] - 1) in second.stderr or "pid=" in second.stderr and undisturbed and trace(node).count("a+") == 2, second.stderr
    return run(tree(stub("a")), go)


@story("L12: a supervisor with 200 descriptors starts a child that has its own only, an empty mask, and SIGPIPE at default")
def _():
    def go(node):
        node.start()
        pid = until(lambda: [p for p, n in node.family().items() if n.startswith("sleeper")], 5, "the sleeper")[0]
        ours = len(os.listdir("/proc/%d/fd" % node.process.pid))
        status = dict(line.split(":\t", 1) for line in open("/proc/%d/status" % pid) if ":\t" in line)
        fds = sorted(os.listdir("/proc/%d/fd" % pid))
        ok = fds == ["0", "1", "2"] and os.getsid(pid) == pid and int(status["SigBlk"], 16) == 0 and int(status["SigIgn"], 16) == 0
        return ours >= 200 and ok, ours, fds, status.get("SigIgn")
    return run(tree(*[bare("c%d" % i) for i in range(80)], '  child "sleeper" { command = {"/bin/sleep", "1000"} }\n'), go)


@story("L13: a child that writes 100 MB to stderr costs little memory and delays nobody; its last words are kept, the rest is counted")
def _():
    def go(node):
        node.start()
        worst, restarts = 0, 0
        while "the last words" not in node.troupe("logs", "loud").stdout and restarts < 400:
            begun = time.monotonic()
            kill(pid_of(node, "quiet"))
            restarts += 1
            until(lambda: trace(node).count("quiet+") == restarts + 1, 10, "quiet is ready again")
            worst = max(worst, time.monotonic() - begun)
        tail = node.troupe("logs", "loud")
        dropped = re.search(r"(\d+) bytes were dropped", tail.stderr)
        return restarts > 1 and worst < 1 and dropped and int(dropped.group(1)) > 90e6 and (node.is_sanitized() or rss_kib(node.process.pid) < 30000), worst, restarts, tail.stderr
    return run(tree(stub("quiet", immediate=1000), stub("loud", "flood=100"), front=True), go)


@story("L15: a hung child is aborted when its watchdog's time is over, killed no sooner than a second later, and recorded as that")
def _():
    def go(node):
        node.start()
        until(lambda: "reason=watchdog" in open(node.log).read(), 20, "the end")
        log = open(node.log).read()
        at = lambda what: [float(m.group(1)) * 60 + float(m.group(2)) for m in re.finditer(r"ts=\S+T\d\d:(\d\d):([\d.]+)Z .*" + what, log)]
        up, hung, end = at("msg=up child=h"), at("msg=hung child=h"), at("msg=down child=h")
        record = node.rows("crashes", "h")[0]
        ok = 1.9 <= hung[0] - up[0] <= 4 and 0.95 <= end[0] - hung[0] <= 3
        return ok and "WATCHDOG=1" in log and record["reason"] == "watchdog", up, hung, end, record
    # It catches SIGABRT, as something that writes a long dump does.
    program = 'import os, signal, socket, time; signal.signal(signal.SIGABRT, lambda *a: None); s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); ' \
              's.connect(chr(0) + os.environ[\\"NOTIFY_SOCKET\\"][1:]); s.send(b\\"READY=1\\"); [time.sleep(1) for _ in range(1000)]'
    return run(tree('  child "h" { ready = notify  watchdog = "2s"  command = {"/usr/bin/python3", "-c", "%s"} }\n' % program, front=True), go)


@story("L16: the wall clock is set a day forward and back while a child waits, and neither its delay nor its window notices")
def _():
    def go(node):
        shift = node.dir + "/shift"
        with open(shift, "w") as f:
            f.write("0")
        node.start(LD_PRELOAD=build + "/tests/node/libwallclock.so", WALLCLOCK_SHIFT=shift, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        until(lambda: row(node, "a")["state"] == "backoff", 10, "a waits")
        for day in ("86400", "-86400", "0"):
            with open(shift + ".new", "w") as f:
                f.write(day)
            os.rename(shift + ".new", shift)
            ups = open(node.log).read().count("msg=up child=b")
            kill(named(node, "tests/stub")[0]) # something to write down with that date
            until(lambda: open(node.log).read().count("msg=up child=b") > ups, 3, "b is up again")
        early = row(node, "a")["state"]
        begun = time.monotonic()
        until(lambda: len(lives(node, "start")) > 1, 15, "a is started again")
        days = set(re.findall("ts=(\\d+-\\d+-\\d+)T", open(node.log).read()))
        return early == "backoff" and 2 < time.monotonic() - begun < 9 and len(days) == 3, early, days
    return run(tree(stub("a", "leave=0,1", immediate=0, backoff_base='"6s"', backoff_jitter=0), bare("b"), front=True), go)


@story("L18: a message that kills its worker three times is set aside as poison, and nobody is blamed")
def _():
    def go(node):
        node.start()
        bad = node.submit("q", [{"payload": "x"}])
        until(lambda: node.rows("dlq", "list"), 30, "the task is set aside")
        dead = node.rows("dlq", "list")
        worker = until(lambda: [r for r in node.rows("tree") if r["actor"] == "worker:q/1" and r["state"] == "up"], 10, "the worker is up")
        shown = node.troupe("dlq", "show", bad[0]).stdout
        return len(dead) == 1 and "poison" in shown + str(dead) and worker[0]["restarts"] == 3 and not [r for r in node.rows("tree") if r["state"] == "failed"], dead, worker, shown
    text = HEAD + 'queue "q" { poison_after = 3  max_attempts = 20  backoff_base = "10ms" }\nsupervisor "root" {\n' + FRONT + '  actor "coordinator:main" { }\n' \
        '  supervisor "s" { intensity = 5  period = "60s"\n    pool "q" { command = {"/bin/sh", "-c", "kill -9 $PPID; sleep 10"} }\n  }\n}\n'
    return run(text, go)


@story("L19: the journal of a stormy life is replayed to the same decisions, byte for byte")
def _():
    def go(node):
        node.start()
        rng = random.Random(19)
        end = time.monotonic() + float(os.environ.get("TROUPE_STORM", "6"))
        while time.monotonic() < end:
            victims = named(node, "tests/stub")
            if victims:
                kill(rng.choice(victims), rng.choice([signal.SIGKILL, crash_signal(build), signal.SIGTERM]))
            if rng.random() < 0.2:
                node.troupe("actor", rng.choice(["stop", "start", "restart"]), "c%d" % rng.randrange(12), "--yes", timeout=30)
        node.stop()
        results = []
        for journal in ("journal", "journal.1"):
            if os.path.exists(node.dir + "/state/" + journal):
                results.append(subprocess.run([build + "/supervisor/trouped", "--replay=" + node.dir + "/state/" + journal], capture_output=True, text=True))
        counts = [re.match(r"(\d+) events, (\d+) decisions the same, 0 different, 0 unreadable", r.stdout.splitlines()[-1]) for r in results]
        # A life that was killed in the middle of a write, and another one after it.
        with open(node.dir + "/state/journal") as f:
            lines = f.readlines()
        cut = [i for i, line in enumerate(lines) if " does down " in line and " does " in lines[i + 1]][3]
        with open(node.dir + "/torn", "w") as f:
            f.writelines(lines[:cut + 1] + lines)
        torn = subprocess.run([build + "/supervisor/trouped", "--replay=" + node.dir + "/torn"], capture_output=True, text=True)
        sane = torn.returncode == 0 and torn.stdout.count("were not written down") == 1
        return sane and all(counts) and all(r.returncode == 0 for r in results) and int(counts[0].group(2)) > 200, [r.stdout[-500:] for r in results + [torn]]
    groups = ['  supervisor "g%d" { strategy = %s  intensity = 50  period = "10s"\n%s  }\n' % (g, s, "".join(bare("c%d" % (g * 4 + i)) for i in range(4)))
              for g, s in enumerate(["one_for_one", "rest_for_one", "all_for_one"])]
    return run(tree(*groups, front=True), go)


NOTIFIER = '''import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(text): s.sendto(text.encode(), chr(0) + os.environ["NOTIFY_SOCKET"][1:])
'''


@story("L21: sd_notify of a foreign program: READY, STATUS, WATCHDOG, EXTEND_TIMEOUT, each honoured")
def _():
    def go(node):
        with open(node.dir + "/slow", "w") as f: # needs longer than its start timeout, and says so
            f.write(NOTIFIER + 'for _ in range(8):\n    say("EXTEND_TIMEOUT_USEC=1500000")\n    time.sleep(0.25)\nsay("STATUS=taking calls\\nREADY=1")\ntime.sleep(1000)\n')
        with open(node.dir + "/beating", "w") as f: # beats for a while, then no more
            f.write(NOTIFIER + 'assert os.environ["WATCHDOG_USEC"] == "1000000"\nsay("READY=1")\nfor _ in range(10):\n    say("WATCHDOG=1")\n    time.sleep(0.3)\ntime.sleep(1000)\n')
        with open(node.dir + "/mute", "w") as f:
            f.write("import time\ntime.sleep(1000)\n")
        node.start(wait=False)
        until(lambda: os.path.exists(node.dir + "/run/front") and node.troupe("tree").returncode == 0, 10, "the node answers")
        until(lambda: row(node, "slow")["state"] == "up", 15, "slow is ready after two seconds, with a timeout of one")
        once = row(node, "slow")
        until(lambda: "start_timeout" in open(node.log).read(), 10, "mute's start timeout")
        until(lambda: re.search("down child=beating .*reason=watchdog", open(node.log).read()), 15, "the end of one that beats no more")
        up = [float(x) for x in re.findall(r"msg=up child=beating", open(node.log).read()) and ["1"]]
        blamed = set(re.findall(r"msg=(?:start_failed|down) child=(\w+) ", open(node.log).read()))
        return once["note"] == "taking calls" and once["restarts"] == 0 and blamed == {"mute", "beating"} and up, once, blamed
    child = lambda name, more="": '  child "%s" { ready = notify  start_timeout = "1s"  command = {"/usr/bin/python3", "%%(dir)s/%s"}%s }\n' % (name, name, more)
    return run(tree(child("slow"), child("beating", '  watchdog = "1s"  start_timeout = "30s"').replace('start_timeout = "1s"  ', "", 1), child("mute"), front=True), go)


@story("L22: tree --what-if says of every child what really happens when it is killed")
def _():
    def go(node):
        node.start()
        names = [r["actor"] for r in node.rows("tree") if r["actor"][0] in "abcd"]
        differences = []
        for name in names:
            said = [s for s in node.rows("tree", "--what-if", "crash " + name) if s["what"] in ("start", "stop") and s["actor"][0] in "abcd"]
            imagined = [(s["what"], s["actor"]) for s in said]
            journal = node.dir + "/state/journal"
            at = os.path.getsize(journal)
            kill([p for p, n in node.family().items() if n.startswith(name + ".")][0], crash_signal(build))

            def happened():
                with open(journal) as f:
                    f.seek(at)
                    return re.findall(r"^\S+ does (spawn|stop) child=(\w+) ", f.read(), re.M)
            until(lambda: len(happened()) >= len(imagined), 5, "as much as was foretold")
            until(lambda: all(r["state"] == "up" for r in node.rows("tree") if r["actor"][0] in "abcd"), 5, "all up again")
            real = [("start" if w == "spawn" else w, n) for w, n in happened()]
            if real != imagined:
                differences.append((name, imagined, real))
        return len(names) == 9 and not differences, differences
    return run(tree('  supervisor "s1" { strategy = all_for_one\n%s  }\n' % "".join(bare("a%d" % i) for i in range(3)),
                    '  supervisor "s2" { strategy = rest_for_one\n%s  supervisor "s3" { intensity = 0 period = "10s"\n%s  }\n%s  }\n' % (bare("b0"), bare("c0") + bare("c1"), bare("b1")),
                    bare("d0"), bare("d1"), front=True), go)


@story("a program that dies of the SIGTERM it was sent was shut down, and is no crash")
def _():
    def go(node):
        node.start()
        node.troupe("actor", "stop", "a", "--yes")
        crashes = node.rows("crashes")
        kill([p for p, n in node.family().items() if n.startswith("b.")][0], signal.SIGTERM)
        until(lambda: node.rows("crashes"), 5, "a SIGTERM from elsewhere is one")
        return not crashes and [r["actor"] for r in node.rows("crashes")] == ["b"] and "reason=shutdown" in open(node.log).read(), crashes
    return run(tree('  child "a" { command = {"/bin/sleep", "1000"} }\n', '  child "b" { command = {"/bin/sleep", "1000"} }\n', front=True), go)


@story("five hundred children that die at once are all ready again, and nothing is left of the dead")
def _():
    def go(node):
        node.start()
        victims = named(node, "tests/stub")
        began = time.monotonic()
        for pid in victims:
            kill(pid)
        until(lambda: open(node.log).read().count("msg=up child=n") >= 1000, 60, "all are ready again")
        took = time.monotonic() - began
        until(lambda: not zombies(node.process.pid), 5, "no zombie")
        return len(victims) == 500 and len(named(node, "tests/stub")) == 500, len(victims), took
    return run(tree('  supervisor "many" { side_by_side = yes\n%s  }\n' % "".join(bare("n%d" % i) for i in range(500))), go)


@story("C16: a child that crashes right after READY costs trouped less than a hundredth of a processor, and its alarm is raised once")
def _():
    def go(node):
        node.start()
        ticks = lambda: sum(int(x) for x in open("/proc/%d/stat" % node.process.pid).read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")
        until(lambda: "backoff_alarm" in open(node.log).read(), 10, "the third wait")
        began, used = time.monotonic(), ticks()
        seconds = float(os.environ.get("TROUPE_BACKOFF_SECONDS", "6"))
        until(lambda: time.monotonic() - began > seconds, seconds + 5, "the time")
        share = (ticks() - used) / (time.monotonic() - began)
        starts = len(lives(node, "start"))
        most = 6 + math.log2((time.monotonic() - began) / 0.08 + 1) # three at once, then delays that double, each at most a fifth shorter
        return share < 0.01 * (5 if node.is_sanitized() else 1) and starts <= most and open(node.log).read().count("backoff_alarm") == 1, share, starts
    return run(tree(stub("bad", "leave=0,1", immediate=2)), go)


@story("E14: the arguments of temporary children are not kept once they run, those of others are")
def _():
    def go(node):
        node.start()
        pid, big = node.process.pid, "x" * 100000
        before = rss_kib(pid)
        for i in range(60):
            if node.troupe("actor", "add", "temporaries", "t%d" % i, "--", "1000", big).returncode:
                return False, "add t%d" % i
        temporary = rss_kib(pid) - before
        for i in range(60):
            if node.troupe("actor", "add", "others", "o%d" % i, "--", "1000", big).returncode:
                return False, "add o%d" % i
        others = rss_kib(pid) - before - temporary
        return node.is_sanitized() or (temporary < 3000 and others > 6000 * 0.9), temporary, others
    template = '  supervisor "%s" { strategy = dynamic\n    child "%s" { restart = %s  command = {"/bin/sh", "-c", "exec sleep $0"} }\n  }\n'
    return run(tree(template % ("temporaries", "t", "temporary"), template % ("others", "o", "permanent"), front=True), go)


@story("H13: a child that dies at any moment between its fork and its READY is one failed attempt, and never two")
def _():
    def go(node):
        node.start(wait=False)
        until(lambda: len(lives(node, "start")) >= 100, 120, "a hundred attempts")
        kill(node.process.pid, signal.SIGTERM)
        node.process.wait()
        with open(node.dir + "/state/journal") as f:
            text = f.read()
        spawned = re.findall(r"does spawn child=x incarnation=(\d+)", text)
        ended = re.findall(r"event (?:ended|start_failed) child=x .*?incarnation=(\d+)", text)
        ready = re.findall(r"event ready child=x", text)
        return len(spawned) == len(set(spawned)) and spawned[:len(ended)] == ended and len(spawned) - len(ended) <= 1 and not ready, len(spawned), len(ended)
    program = "echo $TROUPE_CHILD | sed 's/\\\\.\\\\([0-9]*\\\\)$/ \\\\1 1 start/' >> %(dir)s/lives; sleep 0.0$(($$ %% 10)); kill -9 $$"
    return run(tree('  child "x" { ready = lifeline  immediate = 1000  backoff_base = 0  command = {"/bin/sh", "-c", "%s"} }\n' % program), go)


@story("I13: two operators at once get answers that make sense, and the child ends as one of them said last")
def _():
    def go(node):
        node.start()
        words, errors = set(), []

        def operator(seed, verbs):
            rng = random.Random(seed)
            for _ in range(int(os.environ.get("TROUPE_ORDERS", "60"))):
                verb = rng.choice(verbs)
                said = node.troupe("actor", verb, "a", *([] if verb == "start" else ["--yes"]), "--json", timeout=30)
                if said.returncode == 2 or "Traceback" in said.stderr:
                    errors.append(said.stderr)
                words.update(re.findall(r'"answer":\s*"(\w+)"', said.stdout) or [re.search(r"E-\w+", said.stderr).group(0) if "E-" in said.stderr else "?"])
        two = [threading.Thread(target=operator, args=(i, v)) for i, v in enumerate((["restart", "start"], ["stop", "delete", "start"]))]
        for t in two:
            t.start()
        for t in two:
            t.join()
        known = {"ok", "running", "restarting", "not_found", "start_failed", "E-NO_ACTOR"}
        end = [r for r in node.rows("tree") if r["actor"] == "a"]
        alive = [p for p, n in node.family().items() if n.startswith("a.") and is_alive(p)]
        sane = not end and not alive or end and (end[0]["state"] == "up") == (len(alive) == 1)
        return words <= known and not errors and sane and is_alive(pid_of(node, "b")), words, errors, end, alive
    return run(tree(stub("a"), stub("b"), front=True), go)


@story("I12: the specification of every kind of child names all its fields, the standard ones too")
def _():
    def go(node):
        node.start()
        node.troupe("actor", "add", "jobs", "j1", "--", "--more")
        texts = {n: node.troupe("actor", "spec", n).stdout for n in ("a", "jobs", "j1", "root")}
        keys = {n: set(re.findall(r"^(\S+) = ", t, re.M)) for n, t in texts.items()}
        process = {"name", "type", "restart", "significant", "shutdown", "start_timeout", "supervisor", "intensity", "on_give_up", "immediate", "backoff_base", "backoff_cap", "command"}
        supervisor = {"name", "type", "restart", "significant", "shutdown", "supervisor", "strategy", "intensity", "on_give_up", "auto_shutdown", "max_children"}
        missing = node.troupe("actor", "spec", "nobody").returncode
        return process <= keys["a"] and process <= keys["j1"] and "--more" in texts["j1"] and supervisor <= keys["jobs"] and "dynamic" in texts["jobs"] and missing != 0, texts
    return run(tree(bare("a"), '  supervisor "jobs" { strategy = dynamic  max_children = 3\n    child "job" { command = {"/bin/sleep", "1000"} }\n  }\n', front=True), go)


@story("added children outlive a kill of the node, in their order, temporary and deleted ones do not")
def _():
    def go(node):
        node.start()
        add = lambda name, more="": node.troupe("actor", "add", "root", "--section", "-", input='child "%s" { ready = lifeline  command = {"%s/tests/stub", "-"} %s }\n' % (name, build, more))
        done = [add("z1").returncode, add("y2").returncode, add("t3", "restart = temporary").returncode, add("x4").returncode]
        done.append(node.troupe("actor", "add", "jobs", "j1", "--", "1001").returncode)
        made = node.troupe("actor", "add", "jobs", "--", "1002").stdout
        full = node.troupe("actor", "add", "jobs", "j3").stdout
        wrong = add("w5", "restart = sometimes")
        done.append(node.troupe("actor", "stop", "y2", "--yes").returncode)
        done.append(node.troupe("actor", "delete", "y2", "--yes").returncode)
        kill(node.process.pid)
        node.process.wait()
        node.start()
        names = [r["actor"] for r in node.rows("tree")]
        ok = done == [0] * len(done) and "job/" in made and "max_children" in full and wrong.returncode == 78 and "sometimes" in wrong.stderr
        return ok and [n for n in names if n in ("a", "z1", "y2", "t3", "x4")] == ["a", "z1", "x4"] and len(named(node, "sleep 1001")) == 1 and len(named(node, "sleep 1002")) == 1, done, made, full, wrong, names
    return run(tree(bare("a"), '  supervisor "jobs" { strategy = dynamic  max_children = 2\n    child "job" { command = {"/bin/sleep"} }\n  }\n', front=True), go)


tell_all()
