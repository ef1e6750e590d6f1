#!/usr/bin/env python3
"""wrong-configs.py BUILD: trouped -t names file, line and cure, and exits 78."""
import os, re, subprocess, sys, tempfile
from node import Tap

build = os.path.abspath(sys.argv[1])
tap = Tap()
GOOD = '''user = ""
queue "q" { max_attempts = 3 }
supervisor "root" {
  actor "topic:events" { }
  pool "p" { size = 1  mode = exec  queues = {"q"} }
}
'''
#       what                                    the text                                                              line, pattern of the message, pattern of the cure
WRONG = [
    ("an unknown key", 'usr = ""\n' + GOOD, 1, "usr", "user"),
    ("an unknown section", GOOD + 'queeu "x" { }\n', 7, "queeu", "queue"),
    ("a key that stands twice", 'user = ""\n' + GOOD, 2, "user", "."),
    ("a brace too few", GOOD.rstrip().rstrip("}"), None, "brace", "."),
    ("a brace too many", GOOD + "}\n", 7, ".", "."),
    ("a duration that is none", GOOD.replace("max_attempts = 3", 'timeout = "5 parsecs"'), 2, "5 parsecs", "."),
    ("a number out of range", GOOD.replace("size = 1", "size = 0"), 5, "0", "."),
    ("a strategy that there is not", GOOD.replace('"root" {', '"root" { strategy = one_for_some'), 3, "one_for_some", "one_for_one"),
    ("two children of one name", GOOD.replace('  pool', '  actor "topic:events" { }\n  pool'), 5, "topic:events", "."),
    ("an address that is none", GOOD.replace("topic:events", "Topic events"), 4, "Topic events", "type:id"),
    ("a lines pool without a program", GOOD.replace("mode = exec", "mode = lines"), 5, "lines", "command"),
    ("a run directory too long for a socket", 'run_dir = "/' + "x" * 100 + '"\n' + GOOD, 1, "run_dir", "80"),
    ("a user that there is not", GOOD.replace('user = ""', 'user = "no-such-user-here"'), 1, "no-such-user-here", "."),
    ("intensity without period", GOOD.replace('"root" {', '"root" { intensity = 3'), 3, "intensity", "period"),
    ("two queues of one name", GOOD + 'queue "q" { }\n', 7, "q", "."),
    ("no supervisor", 'user = ""\n', None, "supervisor", "."),
    ("two supervisors at the top", GOOD + 'supervisor "second" { }\n', 7, "supervisor|second", "."),
]
with tempfile.TemporaryDirectory(prefix="troupe-config.", dir="/tmp") as folder:
    path = folder + "/troupe.conf"
    check = lambda: subprocess.run([build + "/supervisor/trouped", "-t", "-c", path], capture_output=True, text=True)
    open(path, "w").write(GOOD)
    right = check()
    tap.point(right.returncode == 0, "the configuration that the others differ from is right", right.stderr)
    if os.geteuid() == 0:
        tap.point(re.match(r"%s:5: warning: .*pool p .* \[config-same-user\]\n  give the pool a user" % re.escape(path), right.stderr),
                  "tasks under the user who owns the store are warned of", right.stderr)
        open(path, "w").write(GOOD.replace("mode = exec", 'mode = exec  user = "nobody"'))
        tap.point(check().stderr == "", "tasks under a user of their own are not")
    for what, text, line, message, cure in WRONG:
        open(path, "w").write(text)
        done = check()
        first, _, rest = done.stderr.partition("\n")
        place = re.match(r"%s:(\d+): (.+) \[([a-z-]+)\]$" % re.escape(path), first)
        ok = done.returncode == 78 and place and (line is None or int(place.group(1)) == line) and re.search(message, place.group(2)) and re.match(r"  .*" + cure, rest)
        tap.point(ok, what + " is refused with file, line and cure", "status %d" % done.returncode, done.stderr)
tap.end()
