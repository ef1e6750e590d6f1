#!/usr/bin/env python3
"""backup.py BUILD [WORD...]: backups of nodes at work, what they are worth when the node is gone, and what is refused."""
import json, os, random, shutil, signal, subprocess, threading, time
from node import Node, kill, until
from stories import build, story, tell_all

QUEUES = 'queue "q" { max_attempts = 50  poison_after = 0  backoff_base = "10ms" }'
POOL = '  pool "q" { size = 3  mode = exec  queues = {"q"}  command = {"/bin/sh", "-c", "sleep 0.02; cat"} }'
CORRUPT, BUSY, PERMISSION = 74, 75, 77


def with_nodes(n, fn, queues=QUEUES, pools=POOL):
    nodes = [Node(build, queues=queues, pools=pools) for _ in range(n)]
    try:
        return fn(*nodes)
    finally:
        for node in nodes:
            node.remove()


def said(done):
    return "%s -> %d\n%s%s" % (" ".join(done.args[1:]), done.returncode, done.stdout, done.stderr)


def files_of(backup):
    return [os.path.join(top, name) for top, _, names in os.walk(backup) for name in names]


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1 << random.randrange(8)]))


def counted(node, state):
    """Tasks in a state directory that no node has."""
    done = node.troupe("check-store", "--state-dir", state, "--json")
    return json.loads(done.stdout)["tasks"] if done.returncode == 0 else said(done)


class Load:
    """Clients that submit without a pause, and remember what was acknowledged."""

    def __init__(self, node):
        self.node, self.ids, self.stop = node, [], False
        self.threads = [threading.Thread(target=self.go) for _ in range(2)]
        for t in self.threads:
            t.start()

    def go(self):
        n = 0
        while not self.stop:
            n += 1
            self.ids += self.node.submit("q", [{"payload": "%d" % n, "delay": "300ms"} if n % 7 == 0 else {"payload": "%d" % n}] * 3)

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join()


@story("a backup under load holds every task that was acknowledged before, and a node that starts on it finishes them all")
def _():
    def go(node, other):
        node.start()
        load, taken = Load(node), []
        try:
            until(lambda: len(load.ids) >= 60, 30, "there is load")
            for n in range(5):
                before = list(load.ids)
                done = node.troupe("backup", node.dir + "/b%d" % n, "--json")
                if done.returncode:
                    return False, said(done)
                taken.append((before, json.loads(done.stdout)["ledgers"][0]))
                until(lambda: len(load.ids) >= len(before) + 15, 30, "the node takes tasks beside a backup")
        finally:
            load.end()
        whole = node.troupe("check-store")
        node.stop()
        for n, (before, counts) in enumerate(taken):
            restored = other.troupe("restore", node.dir + "/b%d" % n, "--state-dir", other.dir + "/state", "--yes")
            if restored.returncode or counts["tasks"] < len(before):
                return False, said(restored), counts
            other.start()
            finished = other.wait_all(before, 60)
            lost = [i for i in before if other.rows("get", i)[0]["state"] != "done"] if n == 4 else []
            sound = other.troupe("check-store")
            other.stop()
            if not finished or lost or sound.returncode:
                return False, n, finished, lost, said(sound), other.tail()
        # Some were running when they were copied: their workers are long gone, and they came back.
        return whole.returncode == 0 and any(counts["running"] for _, counts in taken), said(whole), taken[-1][1]
    return with_nodes(2, go)


@story("a backup of a stopped node is taken by its state directory, and the backup of that is the same again")
def _():
    def go(node):
        node.start()
        ids = node.submit("q", [{"payload": "x"}] * 20)
        node.wait_all(ids, 30)
        node.stop()
        state = node.dir + "/state"
        first = node.troupe("backup", node.dir + "/b", "--state-dir", state)
        second = node.troupe("backup", node.dir + "/c", "--state-dir", state, "-q")
        same = all(open(p, "rb").read() == open(p.replace("/b/", "/c/"), "rb").read() for p in files_of(node.dir + "/b/state"))
        unreachable = node.troupe("backup", node.dir + "/d")
        return first.returncode == 0 and "20 tasks: 20 done" in first.stdout and second.stdout == node.dir + "/c\n" and same and unreachable.returncode == 69 and \
            "--state-dir" in unreachable.stderr, said(first), said(second), said(unreachable)
    return with_nodes(1, go)


@story("a byte that changed, a file that is missing, and a cut are found wherever they are, and nothing is touched")
def _():
    def go(node):
        node.start()
        node.wait_all(node.submit("q", [{"payload": "%d" % n} for n in range(200)]), 60)
        backup, state = node.dir + "/b", node.dir + "/state"
        made = node.troupe("backup", backup)
        node.stop()
        before = sorted(os.listdir(node.dir))
        good = node.dir + "/good"
        shutil.copytree(backup, good)
        before = sorted(os.listdir(node.dir))
        random.seed(7)
        for path in files_of(backup):
            size = os.path.getsize(path)
            for at in sorted({0, size - 1} | {random.randrange(size) for _ in range(24 if path.endswith("MANIFEST") else 6)}):
                flip(path, at)
                done = node.troupe("restore", backup, "--yes")
                if done.returncode not in (CORRUPT, 76) or sorted(os.listdir(node.dir)) != before: # 76: the number of the format itself
                    return False, path, at, said(done)
                shutil.copyfile(path.replace(backup, good, 1), path)
            for how in ("cut", "gone"):
                os.truncate(path, size - 1) if how == "cut" else os.unlink(path)
                done = node.troupe("restore", backup, "--yes")
                if done.returncode not in (CORRUPT, 3) or sorted(os.listdir(node.dir)) != before:
                    return False, path, how, said(done)
                shutil.copyfile(path.replace(backup, good, 1), path)
        checked = node.troupe("check-store", "--backup", backup)
        return made.returncode == 0 and checked.returncode == 0 and counted(node, state) == 200, said(made), said(checked)
    return with_nodes(1, go)


@story("payload files are in the backup, those that came while it was taken too, and one that is missing is told")
def _():
    def go(node):
        node.start()
        node.submit("q", [{"payload": "x"}])
        blobs = node.dir + "/state/actors/coordinator/main/blob"
        os.makedirs(blobs, exist_ok=True)
        names = ["%064x" % n for n in range(3)]
        for name in names:
            with open(blobs + "/" + name, "w") as f:
                f.write(name * 1000)
        with open(blobs + "/tmp-half", "w") as f:
            f.write("half")
        backup = node.dir + "/b"
        made = node.troupe("backup", backup)
        there = sorted(os.listdir(backup + "/state/actors/coordinator/main/blob"))
        os.unlink(backup + "/state/actors/coordinator/main/blob/" + names[1])
        checked = node.troupe("check-store", "--backup", backup)
        return made.returncode == 0 and there == names and checked.returncode == CORRUPT and names[1] in checked.stderr and os.path.exists(blobs + "/" + names[1]), said(made), there, said(checked)
    return with_nodes(1, go)


@story("a payload above 64 KiB is in the backup, and one whose file is missing keeps a backup from being made")
def _():
    def go(node, other):
        node.start()
        big = os.urandom(300000)
        with open(node.dir + "/big", "wb") as f:
            f.write(big)
        task = node.troupe("submit", "q", "--file", node.dir + "/big", "--delay", "1h", "-q").stdout.strip()
        made = node.troupe("backup", node.dir + "/b")
        restored = other.troupe("restore", node.dir + "/b", "--state-dir", other.dir + "/state", "--yes")
        other.start()
        got = other.troupe("get", task, "--output", other.dir + "/got")
        same = open(other.dir + "/got", "rb").read() == big
        blobs = node.dir + "/state/actors/coordinator/main/blob/"
        os.rename(blobs + os.listdir(blobs)[0], node.dir + "/aside")
        refused = node.troupe("backup", node.dir + "/c")
        return restored.returncode == 0 and got.returncode == 0 and same and refused.returncode == CORRUPT and "has no file" in refused.stderr and \
            not [n for n in os.listdir(node.dir) if n.startswith("c")], said(made), said(restored), said(got), said(refused)
    return with_nodes(2, go)


@story("nothing is restored under a node that runs, into a directory that is no node's, or without a yes")
def _():
    def go(node):
        node.start()
        node.submit("q", [{"payload": "x"}])
        node.troupe("backup", node.dir + "/b")
        runs = node.troupe("restore", node.dir + "/b", "--yes")
        checks = node.troupe("check-store", "--state-dir", node.dir + "/state")
        trial = node.troupe("restore", node.dir + "/b", "--dry-run")
        pid = node.process.pid
        node.stop()
        unasked = node.troupe("restore", node.dir + "/b")
        other = node.troupe("restore", node.dir + "/b", "--yes", "--state-dir", node.dir + "/run/..")
        return runs.returncode == BUSY and "pid %d" % pid in runs.stderr and checks.returncode == BUSY and trial.returncode == 0 and unasked.returncode == 64 and \
            other.returncode == 1 and not [n for n in os.listdir(node.dir) if "before" in n], said(runs), said(checks), said(trial), said(unasked), said(other)
    return with_nodes(1, go)


@story("a backup that was killed leaves nothing that looks like one, disturbs nobody, and the next one clears it away")
def _():
    def go(node):
        node.start()
        node.wait_all(node.submit("q", [{"payload": "%d" % n} for n in range(50)]), 60)
        points = ["backup.after_file:%d" % n for n in range(1, 6)] + ["backup.before_manifest", "backup.before_rename"]
        for point in points:
            done = subprocess.run([build + "/actors/tools/troupe", "backup", node.dir + "/b"], capture_output=True, text=True, env=dict(node.env, TROUPE_FAULT=point))
            if done.returncode != -signal.SIGKILL or os.path.exists(node.dir + "/b"):
                return False, point, said(done)
            refused = node.troupe("restore", node.dir + "/b", "--dry-run")
            half = node.troupe("check-store", "--backup", node.dir + "/b.tmp")
            if refused.returncode != 3 or (half.returncode == 0) != (point == "backup.before_rename"): # there all is done but the name
                return False, point, said(refused), said(half)
            node.wait_all(node.submit("q", [{"payload": point}]), 10)
        done = node.troupe("backup", node.dir + "/b")
        return done.returncode == 0 and not os.path.exists(node.dir + "/b.tmp") and node.troupe("check-store", "--backup", node.dir + "/b").returncode == 0, said(done)
    return with_nodes(1, go)


@story("a restore that was killed leaves the old state or the new one, whole, and the next one finishes the work")
def _():
    def go(node):
        state = node.dir + "/state"
        node.start()
        node.wait_all(node.submit("q", [{"payload": "x"}] * 3), 30)
        node.troupe("backup", node.dir + "/b")
        node.wait_all(node.submit("q", [{"payload": "x"}] * 4), 30)
        node.stop()
        points = [("restore.after_file:%d" % n, 7) for n in (1, 3, 5)] + [("restore.before_mark", 7), ("restore.before_exchange", 7), ("restore.after_exchange", 3)]
        for point, tasks in points:
            done = subprocess.run([build + "/actors/tools/troupe", "restore", node.dir + "/b", "--yes"], capture_output=True, text=True, env=dict(node.env, TROUPE_FAULT=point))
            found = counted(node, state)
            if done.returncode != -signal.SIGKILL or found != tasks:
                return False, point, found, said(done)
            node.start() # it is a state that a node can run on
            whole = node.troupe("check-store")
            node.stop()
            if whole.returncode:
                return False, point, said(whole)
        done = node.troupe("restore", node.dir + "/b", "--yes")
        kept = [counted(node, node.dir + "/" + n) for n in sorted(os.listdir(node.dir)) if "before-restore" in n]
        return done.returncode == 0 and not os.path.exists(state + ".restoring") and counted(node, state) == 3 and 7 in kept, said(done), kept, sorted(os.listdir(node.dir))
    return with_nodes(1, go)


@story("who may not read the state is told so, and two backups to one place do not meet")
def _():
    def go(node):
        node.start()
        node.submit("q", [{"payload": "x"}])
        node.troupe("backup", node.dir + "/twice")
        again = node.troupe("backup", node.dir + "/twice")
        inside = node.troupe("backup", node.dir + "/state/b")
        nowhere = node.troupe("backup", node.dir + "/no/such/b")
        os.mkdir(node.dir + "/theirs.tmp")
        theirs = node.troupe("backup", node.dir + "/theirs")
        ok = again.returncode == 1 and inside.returncode == 64 and nowhere.returncode == 66 and theirs.returncode == 1 and os.listdir(node.dir + "/theirs.tmp") == []
        if os.geteuid() == 0 and ok:
            os.chmod(node.dir, 0o755)
            where = os.path.join(node.dir, "for-all")
            os.mkdir(where)
            os.chmod(where, 0o777)
            stranger = subprocess.run([build + "/actors/tools/troupe", "backup", where + "/b", "--state-dir", node.dir + "/state"], capture_output=True, text=True, env=node.env, user=65534)
            ok = stranger.returncode in (PERMISSION, 66) and "uid 65534" in stranger.stderr and os.listdir(where) == []
            return ok, said(stranger)
        return ok, said(again), said(inside), said(nowhere), said(theirs)
    return with_nodes(1, go)


@story("a reader that was killed in the middle of a copy does not make the ledger grow for ever")
def _():
    def go(node):
        node.start()
        node.wait_all(node.submit("q", [{"payload": "x" * 20000} for _ in range(200)]), 60)
        tool = subprocess.Popen([build + "/actors/tools/troupe", "backup", node.dir + "/b"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=node.env)
        until(lambda: os.path.exists(node.dir + "/b.tmp/state/actors/coordinator/main/data.mdb") or tool.poll() is not None, 10, "the copy has begun")
        kill(tool.pid)
        tool.wait()
        ids = node.submit("q", [{"payload": "y"}] * 50)
        return node.wait_all(ids, 30) and node.troupe("check-store").returncode == 0 and not os.path.exists(node.dir + "/b"), os.listdir(node.dir)
    return with_nodes(1, go)


tell_all()
