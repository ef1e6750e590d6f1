#!/usr/bin/env python3
"""lines_program.py DIR [--slow SECONDS] [--deaf]: a program of the lines tier for the conformance suite, two tasks at once. --deaf: only the end of stdin ends it."""
import base64, json, os, sys, threading, time
from work import Later, Never, Task, file_of, log, perform

folder = sys.argv[1]
speaks = threading.Lock()
tasks = {}


def say(message):
    with speaks:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


class LinesTask(Task):
    def __init__(self, m):
        if "payload_file" in m:
            payload = file_of(m["payload_file"])
        elif "payload_b64" in m:
            payload = base64.b64decode(m["payload_b64"])
        else:
            payload = m["payload"].encode()
        super().__init__(folder, m["token"], m["attempt"], payload)
        self.id = m["task"]

    def progress(self, percent, note):
        say({"progress": self.id, "pct": percent, "note": note})
        say({"beat": 1})

    def noise(self):
        with speaks:
            sys.stdout.buffer.write(b"plain text\n\xff\xfe\x00\n{\n{}\n[1]\n" + b"x" * 3000000 + b"\n")
        say({"done": "01JD3Q7M4ZK8V2T5XW9RB6NC0E", "result": "of a task that is not here"})
        say({"hello": 1, "max": 7})
        say({"hello": 2})
        say({"done": self.id, "fail": self.id})


def answer(task):
    try:
        result = perform(task)
        try:
            return {"done": task.id, "result": result.decode()}
        except UnicodeDecodeError:
            return {"done": task.id, "result_b64": base64.b64encode(result).decode()}
    except Later as why:
        return {"fail": task.id, "error": "later", "after": "%dms" % (1000 * why.args[0])}
    except Never as why:
        return {"fail": task.id, "error": str(why), "retry": False}
    except Exception as why:
        return {"fail": task.id, "error": str(why)}


def run(task):
    m = answer(task)
    del tasks[task.id]  # before it is said: the next attempt has the same id
    say(m)


if "--slow" in sys.argv:
    time.sleep(float(sys.argv[sys.argv.index("--slow") + 1]))
say({"hello": 1, "max": 2})
threads = []
for line in sys.stdin.buffer:
    m = json.loads(line)
    if "task" in m:
        tasks[m["task"]] = LinesTask(m)
        threads.append(threading.Thread(target=run, args=(tasks[m["task"]],)))
        threads[-1].start()
    elif m.get("cancel") in tasks:
        tasks[m["cancel"]].cancelled = True
    elif "quit" in m:
        log(folder, "quit", "lines", 0)
        if "--deaf" not in sys.argv:
            break
else:
    log(folder, "eof", "lines", 0)
for thread in threads:
    thread.join()
