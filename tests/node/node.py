"""A private node of real processes, for tests that break it: start, stop, find, kill, ask. Standard library only."""
import json, os, re, shutil, signal, subprocess, sys, tempfile, time


class Tap:
    """Points as they come, the plan at the end."""

    def __init__(self):
        self.n = 0
        self.failed = 0

    def point(self, ok, name, *notes):
        self.n += 1
        self.failed += not ok
        print("%s %d - %s" % ("ok" if ok else "not ok", self.n, name), flush=True)
        if not ok:
            for note in notes:
                for line in str(note).splitlines()[-30:]:
                    print("# " + line, flush=True)
        return ok

    def skip(self, name, why):
        self.n += 1
        print("ok %d - %s # SKIP %s" % (self.n, name, why), flush=True)

    def note(self, text):
        print("# " + text, flush=True)

    def end(self):
        print("1..%d" % self.n)
        sys.exit(1 if self.failed else 0)


def until(condition, seconds, what):
    """Waits for a condition, at most so long; a condition that never comes is an error with a name."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("waited %g s in vain: %s" % (seconds, what))
        time.sleep(0.01)


def soon(condition, seconds):
    """The same, where it may also not come: then False."""
    try:
        return until(condition, seconds, "it comes")
    except TimeoutError:
        return False


CONFIG = """run_dir = "%(dir)s/run"
state_dir = "%(dir)s/state"
user = ""
stop_timeout = "10s"
%(queues)s
supervisor "root" {
  actor "topic:events" { }
  actor "coordinator:main" { }
  actor "front:main" { }
%(pools)s
}
"""


class Node:
    def __init__(self, build, queues="", pools="", text=None):
        """text: the whole configuration instead of queues and pools; %(dir)s and %(build)s are filled in."""
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="troupe-fault.", dir="/tmp")
        self.config = self.dir + "/troupe.conf"
        self.log = self.dir + "/log"
        with open(self.config, "w") as f:
            where = {"dir": self.dir, "build": build}
            f.write(text % where if text else CONFIG % {"dir": self.dir, "queues": queues, "pools": pools % where})
        self.process = None
        self.env = dict(os.environ, TROUPE_LIBEXECDIR=build + "/libexec", TROUPE_RUN_DIR=self.dir + "/run")
        for name in ("TROUPE_FAULT", "TROUPE_FAULT_ONCE"):
            self.env.pop(name, None)

    # --- the node ---

    def start_in(self, group):
        """In a cgroup of its own."""
        self.start(enter=lambda: open(group + "/cgroup.procs", "w").write("0"))

    def start(self, wait=True, enter=None, **env):
        read, write = os.pipe()
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([self.build + "/supervisor/trouped", "-c", self.config, "--ready-fd=%d" % write], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, pass_fds=[write], env=dict(self.env, **env), start_new_session=True,
                                            preexec_fn=enter)
        os.close(write)
        ready = os.read(read, 1) if wait else b""
        os.close(read)
        if wait and ready != b"\n":
            raise RuntimeError("the node did not come up: " + self.tail())
        return ready == b"\n"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            return self.process.wait(30)
        return None

    def id(self):
        with open(self.dir + "/state/node") as f:
            return f.read().split()[0]

    def family(self):
        """Every process of the node but trouped, by the mark in its environment: {pid: "worker:x/1.17"}."""
        mark = ("TROUPE_NODE=" + self.id()).encode()
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/environ" % pid, "rb") as f:
                    env = f.read().split(b"\0")
            except OSError:
                continue
            if mark in env:
                child = [e for e in env if e.startswith(b"TROUPE_CHILD=")]
                found[int(pid)] = child[0][13:].decode() if child else ""
        return found

    def actors(self, prefix=""):
        """The actors' own processes, not what they have started."""
        return [pid for pid, name in self.family().items() if name.startswith(prefix) and os.path.basename(exe(pid)).startswith("troupe-")]

    def kill_everything(self):
        """SIGKILL to all of the node at once."""
        pids = [self.process.pid] if self.process else []
        try:
            pids += list(self.family())
        except OSError:
            pass
        for pid in pids:
            kill(pid)
        if self.process:
            self.process.wait()

    def remove(self):
        self.kill_everything()
        with open(self.log, errors="replace") as f:
            found = [line for line in f if "runtime error:" in line or "Sanitizer: " in line]
        shutil.rmtree(self.dir, ignore_errors=True)
        if found:
            raise RuntimeError("a sanitizer's finding: " + found[0])

    def is_sanitized(self):
        """Built with AddressSanitizer, which keeps what was freed: its memory says nothing."""
        with open("/proc/%d/maps" % self.process.pid) as f:
            return "libasan" in f.read()

    def tail(self):
        with open(self.log, errors="replace") as f:
            return f.read()[-3000:]

    # --- its tool ---

    def troupe(self, *args, input=None, timeout=120):
        return subprocess.run([self.build + "/actors/tools/troupe", *args], input=input, capture_output=True, text=True, env=self.env, timeout=timeout)

    def rows(self, *args, **how):
        done = self.troupe(*args, "--json", **how)
        if done.returncode:
            raise RuntimeError("%s: %s" % (" ".join(args[:3]), done.stderr))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def submit(self, queue, tasks, patience=60):
        """A bulk, sent again with the same ids until it is acknowledged; the ids."""
        path = tempfile.mktemp(dir=self.dir)
        with open(path, "w") as f:
            for task in tasks:
                f.write(json.dumps(task) + "\n")
        batch = self.new_id()
        end = time.monotonic() + patience
        while True:
            done = self.troupe("--timeout", "5s", "submit", queue, "--bulk", path, "--batch", batch, "-q") # before the verb it is our patience
            if done.returncode == 0:
                os.unlink(path)
                return done.stdout.split()
            if time.monotonic() > end:
                raise TimeoutError("a submit was not acknowledged: " + done.stderr)

    _made = 0

    def new_id(self):
        """26 characters, time-ordered; room behind it for the numbers of a bulk."""
        Node._made += 1
        value = (int(time.time() * 1000) << 80) | (int.from_bytes(os.urandom(5), "big") << 40) | (Node._made << 24)
        return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(value >> shift) & 31] for shift in range(125, -5, -5))

    def wait_all(self, ids, seconds):
        """Until all are final, however often the node dies meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done = self.troupe("wait", "--all", "-", "-q", "--timeout", "20s", input="\n".join(ids) + "\n")
            if done.returncode in (0, 1):
                return True
            time.sleep(0.05)
        return False


def crash_signal(build):
    """What a program that breaks gets; a sanitizer would report SIGSEGV as a finding of its own."""
    with open(build + "/supervisor/trouped", "rb") as f:
        return signal.SIGQUIT if b"libasan" in f.read() else signal.SIGSEGV


def exe(pid):
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except OSError:
        return ""


def attempts(node):
    """What the tasks of the fault tests wrote: (what, task, token). Half a line is no record: who is killed while it writes may stop at the border of a page."""
    with open(node.dir + "/attempts") as f:
        return re.findall(r"(start|end|conflict) ([0-9A-Z]{26}) (\d+)\n", f.read())


def kill(pid, signo=signal.SIGKILL):
    try:
        os.kill(pid, signo)
        return True
    except OSError:
        return False
