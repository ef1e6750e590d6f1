#!/usr/bin/env python3
"""exec_program.py DIR [--slow SECONDS]: one task of the conformance suite, in the exec tier."""
import os, signal, sys, time
from work import Cancelled, Later, Never, Task, file_of, perform


class ExecTask(Task):
    def noise(self):
        print("stray output is what stderr is for", file=sys.stderr)


folder = sys.argv[1]
if "--slow" in sys.argv:
    time.sleep(float(sys.argv[sys.argv.index("--slow") + 1]))
task = ExecTask(folder, int(os.environ["TROUPE_TOKEN"]), int(os.environ["TROUPE_ATTEMPT"]), sys.stdin.buffer.read())


def on_term(signo, frame):
    task.cancelled = True


signal.signal(signal.SIGTERM, on_term)
if len(task.payload) > 64 * 1024 and task.payload != file_of(os.environ["TROUPE_PAYLOAD_FILE"]):
    sys.exit("stdin and the file differ")
drain = task.payload == b"drain"
try:
    sys.stdout.buffer.write(perform(task))
except Later:
    sys.exit(75)
except Never as why:
    print(why, file=sys.stderr)
    sys.exit(100)
except (Cancelled, RuntimeError) as why:
    print(why, file=sys.stderr)
    sys.exit(1)
sys.exit(99 if drain else 0)
