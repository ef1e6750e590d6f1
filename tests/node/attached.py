"""Workers from outside the tree, on a real node: troupe worker run, and a client that speaks the bare protocol. attached.py BUILD [WORDS]"""
import hashlib, os, random, signal, statistics, subprocess, sys, time
from node import Node, Tap, kill, until
from raw import ABORT, ATTACH, ATTACHED, BEAT, ERROR, OUTCOMES, PROGRESS, REVOKED, STARTED, Raw, Worker, mailbox, pack

build = os.path.abspath(sys.argv[1])
tap = Tap()
stories = []
running = []
QUEUES = 'queue "q" { grace = "1s" }\nqueue "r" { }\n'
VIEWERS = 'role "viewer" { users = {"*"} }\n'
# Says that it begins; the first attempt is long.
COMMAND = 'echo "$TROUPE_ATTEMPT $$" >>"$LIVES"; if [ "$TROUPE_ATTEMPT" = 1 ]; then sleep "${FIRST:-60}"; fi; cat'


def story(sentence):
    def keep(fn):
        stories.append((sentence, fn))
        return fn
    return keep


def worker(node, *args, command=COMMAND, **env):
    """An attached worker that is attached."""
    lives = node.dir + "/lives"
    path = node.dir + "/worker.%d" % time.monotonic_ns()
    with open(path, "w") as log:
        p = subprocess.Popen([build + "/actors/tools/troupe", "worker", "run", *args, "--", "sh", "-c", command], env=dict(node.env, LIVES=lives, **env),
                             stdin=subprocess.DEVNULL, stderr=log)
    p.log = path
    running.append(p)
    until(lambda: p.poll() is not None or "attached to" in open(path).read(), 10, "a worker attaches")
    return p


def begun(node):
    """[(attempt, pid)] so far."""
    try:
        with open(node.dir + "/lives") as f:
            return [tuple(map(int, line.split())) for line in f if line.endswith("\n")]
    except FileNotFoundError:
        return []


def begins(node, attempt):
    return until(lambda: [p for a, p in begun(node) if a == attempt], 10, "attempt %d begins" % attempt)[-1]


def submit(node, payload="payload", queue="q"):
    return node.troupe("submit", queue, payload, "-q").stdout.strip()


def task(node, name):
    return node.rows("get", name)[0]


def state(node, name):
    return task(node, name)["state"]


def is_final(node, name):
    return until(lambda: state(node, name) in ("done", "dead", "cancelled"), 20, "the task is final") and task(node, name)


def explain(node, name):
    return node.troupe("explain", name).stdout


def coordinator(node):
    return until(lambda: node.actors("coordinator:main"), 10, "there is a coordinator")[0]


def ended(process, seconds=10):
    process.wait(seconds)
    return process.returncode


def is_gone(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


# --- troupe worker run ---

@story("a command does tasks, and its worker leaves when it is told to")
def _(node):
    p = worker(node, "q", "r", "--slots", "3", command='cat; echo "log of $TROUPE_QUEUE" >&2; test "$TROUPE_TAGS$HOME" = "" || exit 0')
    names = [submit(node, "payload %d" % i, "qr"[i % 2]) for i in range(20)]
    ok = node.wait_all(names, 20)
    results = [node.troupe("result", name).stdout for name in names]
    row = node.rows("workers")
    p.send_signal(signal.SIGTERM)
    status = ended(p)
    log = open(p.log).read()
    rows = node.rows("workers")
    return (ok and results == ["payload %d" % i for i in range(20)] and status == 0 and row[0]["worker"].startswith("attached:%d." % p.pid) and not rows and
            "log of q" in log and "log of q" in node.troupe("logs", names[0]).stdout), results, status, row, rows, log


@story("what runs when it is told to leave is finished, the rest goes back")
def _(node):
    p = worker(node, "q", FIRST="1")
    first, second = submit(node, "1"), submit(node, "2")
    begins(node, 1)
    p.send_signal(signal.SIGINT)
    status = ended(p)
    a, b = task(node, first), task(node, second)
    return (status == 0 and a["state"] == "done" and b["state"] == "ready" and b["attempts"] == 0), status, a, b


@story("told twice it kills what runs, and that does not count")
def _(node):
    p = worker(node, "q")
    name = submit(node)
    pid = begins(node, 1)
    p.send_signal(signal.SIGTERM)
    until(lambda: "still running" in open(p.log).read(), 10, "it says what it waits for")
    p.send_signal(signal.SIGTERM)
    status = ended(p)
    t = task(node, name)
    return status == 0 and is_gone(pid) and t["state"] == "ready" and t["attempts"] == 0, status, t


@story("a cancelled task is ended, with its group")
def _(node):
    p = worker(node, "q", command='echo "$TROUPE_ATTEMPT $$" >>"$LIVES"; trap "" TERM; sleep 60 & wait; sleep 60')
    name = submit(node)
    pid = begins(node, 1)
    done = node.troupe("cancel", name, "--yes")
    t = is_final(node, name)
    p.terminate()
    return t["state"] == "cancelled" and is_gone(pid) and ended(p) == 0, done, t


@story("a program of lines is one worker")
def _(node):
    program = 'echo \'{"hello":1,"max":4}\'; while read -r line; do id=${line#*\'"task":"\'}; id=${id%%\'"\'*}; printf \'{"done":"%s","result":"r"}\\n\' "$id"; done'
    p = worker(node, "q", "--lines", command=program)
    names = node.submit("q", [{"payload": str(i)} for i in range(200)])
    ok = node.wait_all(names, 20)
    result = node.troupe("result", names[7]).stdout
    p.terminate()
    return ok and result == "r" and ended(p) == 0, result


@story("large payloads arrive whole, and are in a file too")
def _(node):
    p = worker(node, "q", "--slots", "2", command='test -z "$TROUPE_PAYLOAD_FILE" || cmp - "$TROUPE_PAYLOAD_FILE" || exit 1; cat ${TROUPE_PAYLOAD_FILE:--} | md5sum')
    path = node.dir + "/large"
    names, sums = [], []
    for size in (65536, 65537, 5000000, 16000000):
        with open(path, "wb") as f:
            f.write(os.urandom(size))
        names.append(node.troupe("submit", "q", "--file", path, "-q").stdout.strip())
        sums.append(hashlib.md5(open(path, "rb").read()).hexdigest())
    node.wait_all(names, 30)
    results = [node.troupe("result", name).stdout[:32] for name in names]
    p.terminate()
    return ended(p) == 0 and results == sums, results, sums, [task(node, name) for name in names]


@story("a command that cannot run takes no tasks")
def _(node):
    p = subprocess.Popen([build + "/actors/tools/troupe", "worker", "run", "q", "--", "/nonexistent/program"], env=node.env, stderr=subprocess.DEVNULL)
    name = submit(node)
    says = until(lambda: "cannot run /nonexistent/program" in explain(node, name) and explain(node, name), 10, "it is said")
    t = task(node, name)
    p.terminate()
    return t["attempts"] == 0 and ended(p) == 0, says, t


@story("an unknown queue, a viewer and no node are refused by name")
def _(node):
    wrong = node.troupe("worker", "run", "qq", "--", "true")
    nowhere = node.troupe("--run-dir", node.dir + "/nowhere", "worker", "run", "q", "--", "true")
    bare = node.troupe("worker", "run", "q", "r")
    other = Node(build, queues=VIEWERS + QUEUES)
    try:
        other.start()
        viewer = other.troupe("worker", "run", "q", "--", "true")
        client = Raw(mailbox(other.dir + "/run"))
        answers = [client.ask(body) for body in (ATTACH, STARTED, OUTCOMES, PROGRESS, REVOKED, BEAT)]
    finally:
        other.remove()
    return (wrong.returncode == 3 and "did you mean q?" in wrong.stderr and nowhere.returncode == 69 and bare.returncode == 64 and viewer.returncode == 77 and
            "NOT_ALLOWED" in viewer.stderr and all(body == ERROR and e[1] == [4] for body, e in answers)), wrong, nowhere, bare, viewer, answers


# --- deaths ---

@story("kill -9 in the middle of a task: the next attempt follows within 100 ms, and counts")
def _(node):
    took = []
    for i in range(7):
        first = worker(node, "q")
        name = submit(node)
        until(lambda: len(begun(node)) == 2 * i + 1, 10, "it begins")
        pid = begun(node)[-1][1]
        second = worker(node, "q")
        at = time.monotonic()
        first.kill()
        while len(begun(node)) == 2 * i + 1 and time.monotonic() < at + 10:
            time.sleep(0.001)
        took.append(1000 * (time.monotonic() - at))
        t = is_final(node, name)
        first.wait()
        second.terminate()
        if ended(second) != 0 or t["state"] != "done" or t["attempts"] != 2 or not is_gone(pid):
            return False, t
    tap.note("median %.1f ms, worst %.1f ms" % (statistics.median(took), max(took)))
    return node.is_sanitized() or statistics.median(took) < 100, took


@story("a stopped worker loses its task to another, and what it says later is void")
def _(node):
    first = worker(node, "q", "--heartbeat", "1s", FIRST="3")
    name = submit(node)
    pid = begins(node, 1)
    second = worker(node, "q")
    first.send_signal(signal.SIGSTOP)
    t = is_final(node, name)
    stopped = explain(node, name), node.troupe("workers").stdout
    first.send_signal(signal.SIGCONT)
    gone = until(lambda: is_gone(pid), 10, "it ends its process")
    second.terminate()
    ok = ended(second) == 0
    again = submit(node)                        # it is of use again
    other = is_final(node, again)
    first.terminate()
    return (ok and gone and t["state"] == "done" and t["attempts"] == 2 and t["worker"].startswith("attached:%d." % second.pid) and "has said nothing for" in stopped[1] and
            other["state"] == "done" and ended(first) == 0), t, stopped, other


@story("a coordinator that dies finds its worker alive: the lease goes on")
def _(node):
    p = worker(node, "q", FIRST="2")
    name = submit(node)
    begins(node, 1)
    token = task(node, name).get("token")
    old = coordinator(node)
    kill(old)
    until(lambda: coordinator(node) != old, 10, "its successor")
    t = is_final(node, name)
    p.terminate()
    return t["state"] == "done" and t["attempts"] == 1 and begun(node)[1:] == [] and "attached to coordinator:main again" in open(p.log).read() and ended(p) == 0, t, token


@story("a coordinator that dies finds its worker dead: the task goes back at once")
def _(node):
    p = worker(node, "q", "--heartbeat", "1h")
    name = submit(node)
    begins(node, 1)
    second = worker(node, "q", "--heartbeat", "1h", FIRST="0")
    old = coordinator(node)
    kill(old, signal.SIGSTOP)
    p.kill()
    p.wait()
    kill(old)
    t = is_final(node, name)
    second.terminate()
    return t["state"] == "done" and t["worker"].startswith("attached:%d." % second.pid) and ended(second) == 0, t


# --- the bare protocol ---

@story("a client that speaks the bare protocol does a task")
def _(node):
    w = Worker(node.dir + "/run", os.urandom(16))
    body, _ = w.attach("q")
    name = submit(node, "to do")
    t = w.task()
    w.say(PROGRESS, pack((1, t["token"]), (2, 40), (3, "half")))
    running = until(lambda: "running on attached:%d." % os.getpid() in explain(node, name) and explain(node, name), 10, "it runs")
    acknowledged, stale = w.done(t["token"], b"did it")
    return (body == ATTACHED and t["payload"] == b"to do" and t["attempt"] == 1 and acknowledged == [t["token"]] and not stale and
            node.troupe("result", name).stdout == "did it"), body, t, running, acknowledged, stale


@story("who comes back as the same keeps its lease, and is waited for by name")
def _(node):
    instance = os.urandom(16)
    w = Worker(node.dir + "/run", instance)
    w.attach("q")
    name = submit(node)
    t = w.task()
    w.close()
    why = until(lambda: "not connected" in explain(node, name) and explain(node, name), 10, "it is missed")
    again = Worker(node.dir + "/run", instance)
    _, answer = again.attach("q", held=[(t["token"], True)])
    acknowledged, stale = again.done(t["token"])
    final = task(node, name)
    return ("its process %d lives: waits until" % os.getpid() in why and 1 not in answer and acknowledged == [t["token"]] and not stale and final["state"] == "done" and
            final["attempts"] == 1), why, answer, final


@story("another instance is another worker: the task stays with the first until its heartbeat ends")
def _(node):
    w = Worker(node.dir + "/run", os.urandom(16))
    w.attach("q", heartbeat_ms=1000)
    name = submit(node)
    t = w.task()
    w.close()
    other = Worker(node.dir + "/run", os.urandom(16))
    _, answer = other.attach("q", held=[(t["token"], True)])
    at = time.monotonic()
    next_one = other.task()
    took = time.monotonic() - at
    late = other.done(t["token"])
    other.done(next_one["token"])
    final = task(node, name)
    return (answer[1] and 0.5 < took < 5 and next_one["attempt"] == 2 and next_one["token"] > t["token"] and late == ([], [t["token"]]) and final["state"] == "done" and
            final["attempts"] == 2), answer, took, next_one, late, final


@story("who is silent is told that its task is gone, and its late result is refused")
def _(node):
    w = Worker(node.dir + "/run", os.urandom(16))
    w.attach("q", heartbeat_ms=1000)
    name = submit(node)
    t = w.task()
    w.say(BEAT)
    _, abort = w.hear(ABORT)
    error = until(lambda: state(node, name) == "ready" and task(node, name)["error"], 10, "it is back")
    acknowledged, stale = w.done(t["token"])
    next_one = w.task()                         # it has spoken
    w.done(next_one["token"])
    return (abort[2] == [b"no word from the worker for 1s"] and "no word from the worker" in error and not acknowledged and stale == [t["token"]] and
            state(node, name) == "done"), abort, error, stale


@story("what nobody could attach with is answered with a reason")
def _(node):
    w = Worker(node.dir + "/run", b"short")
    short = w.attach("q")
    w.instance = os.urandom(16)
    unknown = w.attach("qq")
    quick = w.attach("q", heartbeat_ms=10)
    unattached = w.ask(STARTED)
    good = w.attach("q")
    w.instance = os.urandom(16)
    second = w.attach("q")
    codes = [(b, e.get(1)) for b, e in (short, unknown, quick, unattached, second)]
    return codes == [(ERROR, [1]), (ERROR, [7]), (ERROR, [1]), (ERROR, [13]), (ERROR, [13])] and good[0] == ATTACHED, codes, good


@story("deaths of every kind lose nothing")
def _(node):
    random.seed(1)
    command = 'sleep 0.0$((TROUPE_TOKEN % 9)); cat'
    crew = [worker(node, "r", "--slots", "4", "--heartbeat", "1s", "--tags", "a,b", command=command) for _ in range(3)]
    names = node.submit("r", [{"payload": str(i), "require": ["b"], "max_attempts": 100} for i in range(400)])
    end = time.monotonic() + 6
    while time.monotonic() < end:
        time.sleep(random.random() * 0.4)
        what, p = random.choice(["kill", "kill", "stop", "leave", "coordinator"]), random.choice(crew)
        if what == "coordinator":
            kill(coordinator(node))
        elif what == "stop":
            p.send_signal(signal.SIGSTOP)
            time.sleep(random.random() * 1.5)
            p.send_signal(signal.SIGCONT)
        else:
            p.send_signal(signal.SIGKILL if what == "kill" else signal.SIGTERM)
            crew.remove(p)
            crew.append(worker(node, "r", "--slots", "4", "--heartbeat", "1s", "--tags", "b", command=command))
    final = node.wait_all(names, 60)
    rows = node.rows("list", "--limit", "0")
    results = [node.troupe("result", name).stdout for name in names[::20]]
    check = node.troupe("check-store")
    return (final and len(rows) == 400 and all(r["state"] == "done" for r in rows) and results == [str(i) for i in range(0, 400, 20)] and
            "400 tasks, 0 problems" in check.stdout), [r for r in rows if r["state"] != "done"][:3], results, check


def main():
    for sentence, fn in stories:
        if sys.argv[2:] and not any(w in sentence for w in sys.argv[2:]):
            continue
        node = Node(build, queues=QUEUES)
        try:
            node.start()
            ok, *notes = fn(node)
            tap.point(ok, sentence, *notes, *([] if ok else [node.tail()]))
        except Exception as e:  # a story that breaks has failed
            tap.point(False, sentence, repr(e), node.tail())
        finally:
            for p in running:
                p.kill()
            try:
                node.remove()
            except RuntimeError as e:
                tap.point(False, sentence + ": without a finding", e)
    tap.end()


if __name__ == "__main__":
    main()
