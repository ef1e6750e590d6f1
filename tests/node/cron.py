#!/usr/bin/env python3
"""cron.py BUILD: cron entries of a real node: added, shown, run by hand, and by their times, while the coordinator is killed."""
import os, sys
from node import Node, Tap, kill, until

build = os.path.abspath(sys.argv[1])
tap = Tap()
TEXT = """run_dir = "%(dir)s/run"
state_dir = "%(dir)s/state"
user = ""
queue "work" { }
supervisor "root" {
  actor "topic:events" { }
  actor "coordinator:main" { env = {"LD_PRELOAD=%(build)s/tests/node/libwallclock.so", "WALLCLOCK_SHIFT=%(dir)s/shift"} }
  actor "front:main" { }
  pool "work" { size = 1  mode = exec  command = {"/bin/cat"} }
}
"""
ASAN = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0" # a preloaded library comes first
MINUTE = 60000


class Clock:
    """The wall clock of a node's coordinator, set by this test."""

    def __init__(self, node):
        self.path = node.dir + "/shift"
        self.seconds = 0
        self.set(0)

    def set(self, seconds):
        self.seconds = seconds
        with open(self.path + ".new", "w") as f:
            f.write(str(seconds))
        os.rename(self.path + ".new", self.path)


def entry(node, name="tick"):
    return [row for row in node.rows("cron", "list") if row["cron"] == name][0]


def made(node, name="tick"):
    return [row for row in node.rows("list", "--limit", "0") if row["submitter"] == "cron " + name]


def kill_coordinator(node):
    pids = node.actors("coordinator:")
    for pid in pids:
        kill(pid)
    return pids


def ends(node, status, name, *args, prints=""):
    """A command of the tool: its exit status, and what it must print. Its output."""
    done = node.troupe(*args)
    tap.point(done.returncode == status and prints in done.stdout, name, done.returncode, done.stdout, done.stderr)
    return done.stdout.strip()


node = Node(build, text=TEXT)
try:
    clock = Clock(node)
    node.start(ASAN_OPTIONS=ASAN)
    rows = node.rows("cron", "preview", "30 2 * * *", "--zone", "Europe/Berlin", "--count", "400")
    gap = [row for row in rows if "does not exist" in (row["note"] or "")]
    tap.point(len(rows) == 400 and gap and "03:00:00 +02:00 CEST" in gap[0]["local"] and gap[0]["at"].endswith("T01:00:00.000Z"), "a preview shows what the clock's changes do", rows[:3], gap)
    ends(node, 1, "31 February never comes", "cron", "preview", "0 0 31 2 *")
    ends(node, 65, "a wrong expression is told by its field", "cron", "add", "bad", "61 * * * *", "work", "x")
    ends(node, 3, "an unknown queue is told", "cron", "add", "bad", "* * * * *", "wrok", "x")
    with open(node.dir + "/large", "wb") as f:
        f.write(b"x" * 65537)
    ends(node, 64, "a payload that cannot be kept is told", "cron", "add", "bad", "* * * * *", "work", "--file", node.dir + "/large")
    ends(node, 64, "an unknown policy is told", "cron", "add", "bad", "* * * * *", "work", "x", "--overlap", "never")

    ends(node, 0, "an entry is added", "cron", "add", "tick", "* * * * *", "work", "hello", "--overlap", "queue", "--missed", "all", "--priority", "high", "--deadline", "1d")
    ends(node, 1, "another of its name is not", "cron", "add", "tick", "5 * * * *", "work", "hello")
    ends(node, 0, "it is shown with its next times", "cron", "show", "tick", prints="\nnext  ")
    run = ends(node, 0, "one is run by hand", "cron", "run", "tick")
    ends(node, 0, "its result is there", "result", run, "--wait", "--timeout", "20s", prints="hello")
    tap.point([row["id"] for row in made(node)][:1] == [run], "its submitter is the entry", made(node))

    # Minutes pass, and the coordinator is killed around each: one task a minute, none lost, none twice.
    first = entry(node)["created_at_ms"] // MINUTE * MINUTE
    for minute in range(6):
        clock.set(clock.seconds + 60)
        if minute % 2:
            kill_coordinator(node)
        before = first + (minute + 1) * MINUTE
        until(lambda: (entry(node)["last_at_ms"] or 0) >= before and entry(node)["last_at_ms"] % MINUTE == 0, 30, "a minute later")
        kill_coordinator(node)
    now = entry(node)
    times = (now["last_at_ms"] - first) // MINUTE
    tasks = made(node)
    tap.point(now["submitted"] == times + 1 and now["skipped"] == 0 and len(tasks) == times + 1 and times >= 6, "each minute has its task over kills of the coordinator", now, times, len(tasks))
    tap.point(node.wait_all([row["id"] for row in tasks], 30), "they run")

    ends(node, 0, "it is paused", "cron", "pause", "tick", "--why", "the test ends")
    tap.point(entry(node)["state"] == "paused" and "the test ends" in entry(node)["note"] and entry(node)["next_at"] is None, "with who and why", entry(node))
    kill_coordinator(node)
    clock.set(clock.seconds + 600)
    until(lambda: node.troupe("cron", "list", "--timeout", "5s").returncode == 0, 20, "the coordinator is back")
    tap.point(len(made(node)) == len(tasks) and entry(node)["state"] == "paused", "and stays so", entry(node))
    ends(node, 0, "it is resumed", "cron", "resume", "tick")
    tap.point(entry(node)["next_at"] is not None, "and has a next time again", entry(node))
    ends(node, 64, "to remove it without a terminal needs --yes", "cron", "remove", "tick")
    ends(node, 0, "it is removed", "cron", "remove", "tick", "--yes")
    ends(node, 3, "and unknown then", "cron", "show", "tick")
    ends(node, 0, "the ledger fits itself", "check-store")
finally:
    node.remove()

node = Node(build, text=TEXT)
try:
    clock = Clock(node)
    once = node.dir + "/once"
    node.start(ASAN_OPTIONS=ASAN, TROUPE_FAULT="coordinator/cron.after_submit", TROUPE_FAULT_ONCE=once)
    node.troupe("cron", "add", "tick", "* * * * *", "work", "hello", "--overlap", "queue", "--missed", "all")
    first = entry(node)["created_at_ms"] // MINUTE * MINUTE
    clock.set(60)
    until(lambda: os.path.exists(once) and entry(node)["submitted"], 40, "the coordinator dies between a task and its entry, and does it again")
    now = entry(node)
    tap.point(len(made(node)) == now["submitted"] == (now["last_at_ms"] - first) // MINUTE, "a kill between a task and its entry neither loses nor doubles a time", now, made(node))
    ends(node, 0, "the ledger fits itself then", "check-store")
finally:
    node.remove()
tap.end()
