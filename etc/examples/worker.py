#!/usr/bin/env python3
"""A lines worker in Python, standard library only: it returns the payload's length and SHA-256."""
import base64
import hashlib
import json
import sys


def payload_of(task):
    if "payload_file" in task:  # a large one
        with open(task["payload_file"], "rb") as file:
            return file.read()
    if "payload_b64" in task:  # one that is no text
        return base64.b64decode(task["payload_b64"])
    value = task["payload"]
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def say(message):
    print(json.dumps(message), flush=True)


say({"hello": 1, "max": 1})
for line in sys.stdin.buffer:
    message = json.loads(line)
    if "quit" in message:
        break
    if "task" not in message:
        continue
    try:
        data = payload_of(message)
        if not data:
            raise ValueError("an empty payload")
        say({"done": message["task"], "result": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}})
    except Exception as why:  # one bad task must not end the program
        say({"fail": message["task"], "error": str(why), "retry": False})
