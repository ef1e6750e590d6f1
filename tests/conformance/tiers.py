"""Tiers and examples: ways to have programs do the tasks of a queue. A tier that is no pool of the node starts its programs in start and ends them in stop."""
import hashlib, os, shutil, sys

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
        self.worker = "worker:%s/1" % name

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


def digest(payload):
    return {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}


def tiers(examples, c_example):
    node_js = shutil.which("node")
    no_words = {name: NO_WORDS for name in ("retry-after", "progress")}
    alive = {"exit 99": "a long-lived program is drained, it drains nobody"}
    return [
        PoolTier("exec", 1, dict(no_words, **{"end of stdin": "it comes with every payload"})),
        PoolTier("lines", 2, alive),
        PoolTier("packet4", 2, alive),
        ExampleTier("worker.sh", "lines", ["/bin/sh", examples + "/worker.sh"], lambda payload: None),
        ExampleTier("worker.py", "lines", [sys.executable, examples + "/worker.py"], digest),
        ExampleTier("worker.js", "lines", [node_js, examples + "/worker.js"], digest, None if node_js else "there is no node"),
        ExampleTier("worker.c", "packet4", [c_example], lambda payload: payload[::-1], skips={"a giant payload: in a file": "it takes none"}),
        ExampleTier("worker-packet4.py", "packet4", [sys.executable, examples + "/worker-packet4.py"], digest),
    ]
