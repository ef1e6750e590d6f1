"""What the cases do on the node: submit, look, wait, open gates. Bytes stay bytes."""
import json, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import until

PATIENCE = 15


class Wrong(Exception):
    """A case does not hold: what was seen."""


def expect(ok, *seen):
    if not ok:
        raise Wrong(" ".join(str(s) for s in seen))


class Desk:
    def __init__(self, node):
        self.node = node

    def tool(self, *args, input=None):
        return subprocess.run([self.node.build + "/actors/tools/troupe", *args], input=input, capture_output=True, env=self.node.env, timeout=2 * PATIENCE)

    def submit(self, queue, payload, *options):
        """bytes, or a dictionary: an order to the tier's program."""
        if isinstance(payload, dict):
            payload = b"do " + json.dumps(payload).encode()
        done = self.tool("submit", queue, "-", "-q", *options, input=payload)
        expect(done.returncode == 0, "submit:", done.stderr.decode())
        return done.stdout.decode().strip()

    def row(self, task):
        return self.node.rows("get", task)[0]

    def ends(self, task, state="done"):
        """Its row, once it is final."""
        self.tool("wait", task, "-q", "--timeout", "%ds" % PATIENCE)
        row = self.row(task)
        expect(row["state"] == state, "the task is", row["state"], row["cause"], row["last_error"])
        return row

    def result(self, task):
        done = self.tool("result", task, "--wait", "--timeout", "%ds" % PATIENCE)
        if done.returncode:
            self.ends(task)
        expect(done.returncode == 0, "result:", done.stderr.decode())
        return done.stdout

    def log(self, *events):
        """[(event, name, token, pid, time)] of the programs of this node, from work.py."""
        try:
            with open(self.node.dir + "/did") as f:
                lines = [line.split() for line in f]
        except FileNotFoundError:
            return []
        return [(e, n, int(t), int(p), float(at)) for e, n, t, p, at in lines if not events or e in events]

    def of(self, name, *events):
        return [line for line in self.log(*events) if line[1] == name]

    def started(self, name, times=1):
        return until(lambda: len(self.of(name, "start")) >= times and self.of(name, "start"), PATIENCE, "%s starts" % name)

    def open(self, name):
        with open("%s/%s.gate" % (self.node.dir, name), "w"):
            pass

    def worker(self, queue):
        """The row of the worker of a queue; None where none is attached."""
        rows = [row for row in self.node.rows("workers") if row["queues"] == [queue]]
        return rows[0] if rows else None

    def worker_comes(self, queue, but=None):
        """Attached; another process than that."""
        return until(lambda: (lambda w: w and w["pid"] != but and w)(self.worker(queue)), PATIENCE, "a worker of %s attaches" % queue)

    def actor(self, address):
        return [row for row in self.node.rows("ps") if row["address"] == address]
