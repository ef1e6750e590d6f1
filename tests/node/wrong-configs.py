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
QUEUE = lambda keys: GOOD.replace("max_attempts = 3", keys)
POOL = lambda keys: GOOD.replace("size = 1", "size = 1 " + keys)
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
    ("a packet4 pool without a program", GOOD.replace("mode = exec", "mode = packet4"), 5, "packet4", "command"),
    ("a kind of worker that there is not", GOOD.replace("mode = exec", "mode = packets"), 5, "packets", "packet4"),
    ("a run directory too long for a socket", 'run_dir = "/' + "x" * 100 + '"\n' + GOOD, 1, "run_dir", "80"),
    ("a user that there is not", GOOD.replace('user = ""', 'user = "no-such-user-here"'), 1, "no-such-user-here", "."),
    ("intensity without period", GOOD.replace('"root" {', '"root" { intensity = 3'), 3, "intensity", "period"),
    ("two queues of one name", GOOD + 'queue "q" { }\n', 7, "q", "."),
    ("no supervisor", 'user = ""\n', None, "supervisor", "."),
    ("a key of a supervisor that is nearly right (J06)", GOOD.replace('"root" {', '"root" { stratgy = one_for_one'), 3, "stratgy", "strategy"),
    ("a negative intensity (J01)", GOOD.replace('"root" {', '"root" { intensity = -1 period = "5s"'), 3, "intensity", "."),
    ("a period of nothing (J01)", GOOD.replace('"root" {', '"root" { intensity = 1 period = "0s"'), 3, "period", "."),
    ("an automatic shutdown that there is not (J01)", GOOD.replace('"root" {', '"root" { auto_shutdown = sometimes'), 3, "sometimes", "any_significant"),
    ("a significant child where nothing shuts down (F01)", GOOD.replace("  pool", '  child "c" { command = {"/bin/true"}  restart = transient  significant = yes }\n  pool'), 5, "bad_combination", "."),
    ("a dynamic supervisor that shuts down automatically (F15)", GOOD.replace("  pool", '  supervisor "d" { strategy = dynamic  auto_shutdown = any_significant  child "c" { command = {"/bin/true"} } }\n  pool'), 5, "bad_combination", "."),
    ("a dynamic supervisor without a template (K06)", GOOD.replace("  pool", '  supervisor "d" { strategy = dynamic }\n  pool'), 5, "bad_start_spec", "child"),
    ("two templates (K06)", GOOD.replace("  pool", '  supervisor "d" { strategy = dynamic\n child "a" { command = {"/bin/true"} }\n child "b" { command = {"/bin/true"} } }\n  pool'), 7, "bad_start_spec", "child"),
    ("max_children where nothing is dynamic", GOOD.replace('"root" {', '"root" { max_children = 3'), 3, "max_children", "dynamic"),
    ("an exit status that is none", GOOD.replace("  pool", '  child "c" { command = {"/bin/true"}  fatal_codes = {"300"} }\n  pool'), 5, "300", "255"),
    ("a watchdog of a program that does not speak", GOOD.replace("  pool", '  child "c" { command = {"/bin/true"}  watchdog = "2s" }\n  pool'), 5, "watchdog", "notify"),
    ("a rate that is none", QUEUE('rate = "fast"'), 2, "rate: .*fast", "100/s"),
    ("a rate that lets nothing through", QUEUE('rate = "0"'), 2, "pause the queue", "none"),
    ("a burst of nothing", QUEUE('key_rate = "5/h burst 0"'), 2, "key_rate: .*burst", "burst 200"),
    ("a key's rate above the queue's", QUEUE('rate = "10/s" key_rate = "11/s"'), 2, "can never be reached", "key_rate"),
    ("a key's concurrency above the queue's", QUEUE("concurrency = 4 key_concurrency = 5"), 2, "can never be reached", "key_concurrency"),
    ("a queue's concurrency above the node's", "concurrency = 3\n" + QUEUE("concurrency = 4"), 3, "can never be reached", "at the top"),
    ("no concurrency for a key", QUEUE("key_concurrency = 0"), 2, "key_concurrency = 0", "inside"),
    ("a payload larger than there may be", 'blob_max = "2G"\n' + GOOD, 1, "blob_max = 2G", "inside"),
    ("a payload smaller than a message carries", 'blob_max = "1K"\n' + GOOD, 1, "blob_max = 1K", "inside"),
    ("what happens at a cap that there is not", QUEUE("full = block"), 2, "full .*cap", "max_tasks"),
    ("a word for full that there is not", QUEUE("max_tasks = 5 full = drop_newest"), 2, "drop_newest", "drop_oldest"),
    ("ageing below a minute", QUEUE('ageing = "30s"'), 2, "ageing = 30s", "none"),
    ("a greatest age that no task reaches", QUEUE('max_age = "10ms"'), 2, "max_age = 10ms", "none"),
    ("fair to a degree", QUEUE("fair = mostly"), 2, "fair: .*mostly", "yes or no"),
    ("a retry rule without an action", QUEUE('retry = {"exit 3"}'), 2, "exit 3", "KIND: ACTION"),
    ("a retry rule of no kind", QUEUE('retry = {"exits 3: dead"}'), 2, "exits 3", "begin with exit"),
    ("a retry rule with a delay where none can be", QUEUE('retry = {"timeout: now 5m"}'), 2, "timeout: now 5m", "retry and later"),
    ("a retry rule that is never reached", QUEUE('retry = {"any: retry 5", "oom: dead"}'), 2, "oom: dead.*never reached", "narrower"),
    ("a retry rule for what is no failure", QUEUE('retry = {"exit 75: dead"}'), 2, "exit 75.*never fits", "later"),
    ("a retry rule that tries once", QUEUE('retry = {"oom: retry 1"}'), 2, "rule 1", "dead"),
    ("a list of delays that nobody uses", QUEUE('backoff_list = {"1s", "1m"}'), 2, "backoff_list", "backoff = list"),
    ("delays from a list that there is not", QUEUE("backoff = list"), 2, "list", "backoff_list"),
    ("a key of a queue that is nearly right", QUEUE("max_taks = 3"), 2, "max_taks", "max_tasks"),
    ("a resource without an amount", POOL('resources = {"gpu"}'), 5, "gpu", "gpu 2"),
    ("a resource of nothing", POOL('resources = {"gpu 0"}'), 5, "gpu 0", "above 0"),
    ("a resource named twice", POOL('resources = {"gpu 2", "gpu 1"}'), 5, "gpu twice", "in all"),
    ("more resources than there may be", POOL("resources = {%s}" % ", ".join('"r%d 1"' % i for i in range(9))), 5, "9, more than 8", "leave"),
    ("two supervisors at the top", GOOD + 'supervisor "second" { }\n', 7, "supervisor|second", "."),
]
ALL = '''
  max_tasks = 1000  max_bytes = "1G"  max_age = "7d"  full = drop_oldest
  concurrency = 8  rate = "100/s burst 200"  key_concurrency = 2  key_rate = "5/m"
  ageing = "10m"  fair = yes
  retry = {"exit 3: dead", "exit 70-79: later 5m", "signal SEGV: dead",
           "oom: retry 2", "timeout: now", "any: retry 5 30s"}
'''
EFFECT = [
    'concurrency = "64"  # {}:1', 'blob_max = "1G"  # {}:2', 'queue.q.max_tasks = "1000"  # {}:5', 'queue.q.max_bytes = "1G"  # {}:5', 'queue.q.max_age = "7d"  # {}:5',
    'queue.q.full = "drop_oldest"  # {}:5', 'queue.q.concurrency = "8"  # {}:6', 'queue.q.rate = "100/s burst 200"  # {}:6', 'queue.q.key_concurrency = "2"  # {}:6',
    'queue.q.key_rate = "5/m"  # {}:6', 'queue.q.ageing = "10m"  # {}:7', 'queue.q.fair = "yes"  # {}:7', 'queue.q.timeout = "1h"  # default',
    'queue.q.retry = "exit 3: dead, exit 70-79: later 5m, signal 11: dead, oom: retry 2, timeout: now, any: retry 5 30s"  # {}:8',
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
    differences = []
    for what, text, line, message, cure in WRONG:
        open(path, "w").write(text)
        done = check()
        first, _, rest = done.stderr.partition("\n")
        place = re.match(r"%s:(\d+): (.+) \[([a-z-]+)\]$" % re.escape(path), first)
        ok = done.returncode == 78 and place and (line is None or int(place.group(1)) == line) and re.search(message, place.group(2)) and re.match(r"  .*" + cure, rest)
        tap.point(ok, what + " is refused with file, line and cure", "status %d" % done.returncode, done.stderr)
        started = subprocess.run([build + "/supervisor/trouped", "-c", path], capture_output=True, text=True, timeout=30)
        differences += [what] if (started.returncode, started.stderr) != (done.returncode, done.stderr) else []
    tap.point(not differences, "J07: a start gives the same verdict in the same words, and starts nothing", differences)
    open(path, "w").write('concurrency = 64\nblob_max = "1G"\n' + POOL('resources = {"gpu 2", "mem 8G"}').replace("max_attempts = 3", ALL))
    shown = subprocess.run([build + "/supervisor/trouped", "-T", "-c", path], capture_output=True, text=True)
    missing = [line for line in EFFECT if line.format(path) not in shown.stdout.split("\n")]
    tap.point(shown.returncode == 0 and not missing, "every key of a queue is shown with its value and where it was said", missing, shown.stdout, shown.stderr)
    open(path, "w").write('x-owner = "ops"\n' + GOOD.replace("size = 1", 'size = 1  x-cost-centre = "17"'))
    tap.point(check().returncode == 0, "J06: keys that begin with x- are anybody's", check().stderr)
    open(path, "w").write(GOOD.replace('"root" {', '"root" { intensity = 1  period = "60s"\n  supervisor "sub" { intensity = 10  period = "10s"\n    child "c" { command = {"/bin/true"} } }\n'
                                       '  supervisor "slow" { intensity = 1  period = "2m"\n    supervisor "s2" { intensity = 1  period = "5m"  child "d" { command = {"/bin/true"} } } }\n'))
    said = check().stdout
    tap.point('"sub" (10 in 10s) gives up after at most 10s' in said and '"slow" (1 in 2m) may never give up' in said and '"root" (1 in 1m) may never' in said,
              "G12: how long each limit takes to escalate is said, and which one never does", said)
tap.end()
