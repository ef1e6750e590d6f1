#!/usr/bin/env python3
"""noting.py LOG: a lines program that notes the token of each task before anything else."""
import json, os, sys
sys.dont_write_bytecode = True # the environment of a node does not say so
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from notes import notes

note = notes(sys.argv[1])
print('{"hello":1,"max":8}', flush=True)
for line in sys.stdin:
    task = json.loads(line)
    if "task" in task:
        note("token %d" % task["token"])
        if task.get("payload") == "fail":
            print(json.dumps({"fail": task["task"], "retry": True, "error": "as asked"}), flush=True)
        else:
            print(json.dumps({"done": task["task"], "result": "x" * (task["token"] % 3000)}), flush=True)
