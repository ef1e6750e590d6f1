#!/usr/bin/env python3
"""full-disk.py BUILD: a disk that fills up. Submits are refused, then nothing begins, nobody dies; when there is room again all goes on and nothing is lost."""
import json, os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, Tap, until

tap = Tap()
TEXT = """run_dir = "%(dir)s/run"
state_dir = "%(dir)s/state"
user = ""
queue "q" { max_attempts = 3 }
supervisor "root" {
  actor "topic:events" { }
  actor "coordinator:main" { }
  actor "front:main" { }
  pool "p" { size = 2  mode = exec  queues = {"q"}  command = {"/bin/cat"} }
}
"""
node = Node(os.path.abspath(sys.argv[1]), text=TEXT)
disk = node.dir + "/state"
os.mkdir(disk)
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", disk], capture_output=True).returncode:
    os.rmdir(disk)
    os.unlink(node.config)
    os.rmdir(node.dir)
    print("1..0 # SKIP nobody lets us mount a small disk")
    sys.exit(0)
try:
    with open(disk + "/ballast", "wb") as f:
        f.write(bytes(32 << 20))
    node.start()
    coordinator = lambda: node.actors("coordinator:")
    queue = lambda: node.rows("queue", "show", "q")[0]
    first = coordinator()
    node.troupe("queue", "pause", "q", "--why", "it is being filled")
    with open(node.dir + "/tasks", "w") as f:
        for i in range(3000):
            f.write(json.dumps({"payload": "%08d" % i + "x" * 20000}) + "\n")
    done = node.troupe("--timeout", "1s", "submit", "q", "--bulk", node.dir + "/tasks", "-q")
    ids = done.stdout.split()
    tap.point(done.returncode != 0 and "E-DISK_LOW" in done.stderr and "--batch" in done.stderr, "submits are refused, and it is said how to go on", done.stderr)
    one = node.troupe("submit", "q", "x")
    tap.point("E-DISK_LOW" in one.stderr and "free space" in one.stderr, "one by one too", one.stderr)
    tap.point(len(ids) > 100 and queue()["ready"] >= len(ids), "what was acknowledged is there", len(ids), queue())
    node.troupe("queue", "resume", "q")
    until(lambda: "no task begins" in node.tail(), 30, "results fill what is left, and nothing begins any more")
    stopped = until(lambda: queue()["running"] == 0 and queue(), 30, "what ran has ended")
    why = node.troupe("explain", ids[-1]).stdout
    tap.point(stopped["ready"] > 0 and "disk" in why, "who waits is told why", stopped, why)
    tap.point(coordinator() == first, "the coordinator is the one that it was", node.tail())
    os.unlink(disk + "/ballast")
    until(lambda: queue()["done"] >= len(ids), 120, "the tasks go on")
    tap.point(queue()["dead"] == 0 and coordinator() == first, "with room again all of them end well", queue())
    checked = node.troupe("check-store")
    tap.point("0 problems" in checked.stdout, "the store agrees with itself", checked.stdout, checked.stderr)
finally:
    node.kill_everything()
    subprocess.run(["umount", "-l", disk])
    node.remove()
tap.end()
