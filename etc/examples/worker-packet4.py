#!/usr/bin/env python3
"""A packet4 worker in Python, standard library only: it returns the payload's length and SHA-256. The first functions are all that it needs of protobuf."""
import hashlib
import struct
import sys

HELLO, DONE, FAIL = 1, 2, 3  # what it says
TASK, CANCEL, QUIT = 1, 2, 3  # what it hears


def number(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    found, at = {}, 0
    while at < len(data):
        key, at = number(data, at)
        value, at = number(data, at)
        if key & 7 == 2:  # bytes; that was their length
            value, at = data[at:at + value], at + value
        found[key >> 3] = value
    return found


def packed(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + packed(value >> 7)


def field(key, value):
    return packed(key << 3) + packed(value) if isinstance(value, int) else packed(key << 3 | 2) + packed(len(value)) + value


def say(kind, *members):
    body = field(kind, b"".join(field(key, value) for key, value in members))
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()


def payload_of(task):
    if task.get(5):  # a large one
        with open(task[5], "rb") as file:
            return file.read()
    return task.get(4, b"")


say(HELLO, (1, 1), (2, 1))
while len(head := sys.stdin.buffer.read(4)) == 4:
    message = fields(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))
    if QUIT in message:
        break
    if TASK not in message:
        continue
    task = fields(message[TASK])
    data = payload_of(task)
    if data:
        say(DONE, (1, task[1]), (2, b'{"bytes": %d, "sha256": "%s"}' % (len(data), hashlib.sha256(data).hexdigest().encode())))
    else:
        say(FAIL, (1, task[1]), (2, b"an empty payload"), (3, 1))
