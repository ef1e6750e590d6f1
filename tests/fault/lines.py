#!/usr/bin/env python3
"""lines.py DIR: the same work as task, as a long-lived program that takes four at a time."""
import fcntl, json, os, sys, threading, time

folder = sys.argv[1]
attempts = os.open(folder + "/attempts", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
out = threading.Lock()


def say(message):
    with out:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def work(task):
    name, token = task["task"], task["token"]
    fd = os.open(folder + "/lock." + name, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.write(attempts, b"conflict %s %d\n" % (name.encode(), token))
        say({"fail": name, "error": "another attempt is alive"})
        return
    os.write(attempts, b"start %s %d\n" % (name.encode(), token))
    time.sleep(float(task["payload"]))
    os.write(attempts, b"end %s %d\n" % (name.encode(), token))
    os.close(fd)
    say({"done": name, "result": "%s %d\n" % (name, token)})


say({"hello": 1, "max": 4})
for line in sys.stdin:
    message = json.loads(line)
    if "task" in message:
        threading.Thread(target=work, args=(message,)).start()
