"""Tiers and examples: ways to have programs do the tasks of a queue. A tier that is no pool of the node starts its programs in start and ends them in stop."""
import hashlib, os, shutil, subprocess, sys

from desk import PATIENCE, expect
from node import until

here = os.path.dirname(os.path.abspath(__file__))
POOL = '  pool "%s" { size = 1  spares = 0  mode = %s  queues = {"%s"}  grace = "5s"  drain_timeout = "20s"  env = {"PYTHONDONTWRITEBYTECODE=1"}  command = {%s} }\n'
NO_WORDS = "an exec program has no words but its exit status"


class Tier:
    """obeys: its programs understand the orders of work.py; skips: {name of a case: why it cannot be asked for}; missing: why the tier cannot be here at all."""
    obeys = False
    skips = {}
    missing = None
    slots = 1

    def __init__(self, name):
        self.name = name

    def queues(self):
        """Names of the queues that it wants on the node."""
        return [self.name]

    def pools(self):
        """Sections of the node's configuration, with %(dir)s for the node's directory."""
        return ""

    def start(self, node):
        """The node is up."""

    def stop(self):
        """It goes down."""

    def leaves(self, desk):
        """Its worker is told to finish what it has and leave; returns when that is known."""
        self.leaving = subprocess.Popen([desk.node.build + "/actors/tools/troupe", "actor", "stop", self.address(), "--yes", "--timeout", "30s"], env=desk.node.env,
                                        stdout=subprocess.DEVNULL)
        until(lambda: [row["state"] for row in desk.actor(self.address())] in (["stopping"], []), PATIENCE, "it is told to leave")

    def left(self, desk):
        """Waits until it has."""
        expect(self.leaving.wait(PATIENCE) == 0, "stop failed")
        until(lambda: not desk.actor(self.address()), PATIENCE, "it leaves")

    def comes(self, desk):
        """And another one is started."""
        expect(desk.tool("actor", "start", self.address()).returncode == 0, "start failed")

    def drained(self, desk):
        """Its program has asked for that: another worker comes."""

    def address(self, pool=None):
        return "worker:%s/1" % (pool or self.name)

    def expected(self, payload):
        """The result of a payload; a dictionary is compared as JSON; None: it does not depend on the bytes alone."""
        return payload if len(payload) <= 64 * 1024 else hashlib.sha256(payload).hexdigest().encode()


class PoolTier(Tier):
    """A pool of the node, and beside it one that starts slowly and one that does not listen to quit. """

    obeys = True

    def __init__(self, mode, slots, skips):
        super().__init__(mode)
        self.mode, self.slots, self.skips = mode, slots, skips
        self.slow, self.deaf = mode + "-slow", mode + "-deaf"

    def queues(self):
        return [self.name, self.slow, self.deaf]

    def pools(self):
        program = '"%s/%s_program.py", "%%(dir)s"' % (here, self.mode)
        options = {self.name: "", self.slow: ', "--slow", "1"', self.deaf: ', "--deaf"'}
        return "".join(POOL % (name, self.mode, name, program + more) for name, more in options.items())


class ExampleTier(Tier):
    """A program of etc/examples in a pool of its own."""

    def __init__(self, name, mode, command, expected, missing=None, skips={}):
        super().__init__(name)
        self.mode, self.command, self.expected, self.missing, self.skips = mode, command, expected, missing, skips

    def pools(self):
        return "" if self.missing else POOL % (self.name, self.mode, self.name, ", ".join('"%s"' % word for word in self.command))


class AttachedTier(Tier):
    """Programs of a worker from outside the tree: troupe worker run."""
    obeys = True

    def __init__(self, name, mode, slots, options, skips):
        super().__init__(name)
        self.mode, self.slots, self.options, self.skips = mode, slots, options, skips
        self.process = None

    def start(self, node):
        self.node = node
        with open(node.dir + "/" + self.name, "a") as log:
            self.process = subprocess.Popen([node.build + "/actors/tools/troupe", "worker", "run", self.name, *self.options, "--", sys.executable,
                                             "%s/%s_program.py" % (here, self.mode), node.dir], env=node.env, stdin=subprocess.DEVNULL, stderr=log)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()

    def leaves(self, desk):
        self.process.terminate()
        until(lambda: (lambda w: not w or w["note"] == "it is leaving")(desk.worker(self.name)), PATIENCE, "it is told to leave")

    def left(self, desk):
        expect(self.process.wait(PATIENCE) == 0, "exit status", self.process.returncode)

    def comes(self, desk):
        self.start(self.node)

    def drained(self, desk):
        self.left(desk)
        self.comes(desk)


def digest(payload):
    return {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}


def tiers(examples, c_example):
    node_js = shutil.which("node")
    no_words = {name: NO_WORDS for name in ("retry-after", "progress")}
    alive = {"exit 99": "a long-lived program is drained, it drains nobody"}
    outside = {name: "of pools alone" for name in ("slow start", "end of stdin")}
    return [
        PoolTier("exec", 1, dict(no_words, **{"end of stdin": "it comes with every payload"})),
        PoolTier("lines", 2, alive),
        PoolTier("packet4", 2, alive),
        AttachedTier("attached", "exec", 1, [], dict(outside, **no_words)),
        AttachedTier("attached-lines", "lines", 2, ["--lines"], dict(outside, **alive)),
        ExampleTier("worker.sh", "lines", ["/bin/sh", examples + "/worker.sh"], lambda payload: None),
        ExampleTier("worker.py", "lines", [sys.executable, examples + "/worker.py"], digest),
        ExampleTier("worker.js", "lines", [node_js, examples + "/worker.js"], digest, None if node_js else "there is no node"),
        ExampleTier("worker.c", "packet4", [c_example], lambda payload: payload[::-1], skips={"a giant payload: in a file": "it takes none"}),
        ExampleTier("worker-packet4.py", "packet4", [sys.executable, examples + "/worker-packet4.py"], digest),
    ]
