#!/usr/bin/env python3
"""packet4_program.py DIR [--slow SECONDS] [--deaf]: the same as lines_program.py in packet4. What it needs of protobuf is written out here, apart from the generated code."""
import struct, sys, threading, time
from work import Later, Never, Task, file_of, log, perform

folder = sys.argv[1]
speaks = threading.Lock()
tasks = {}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        found[key >> 3] = value
    return found


def number(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)


def field(key, value):
    return number(key << 3) + number(value) if isinstance(value, int) else number(key << 3 | 2) + number(len(value)) + value


def packet(body):
    with speaks:
        sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
        sys.stdout.buffer.flush()


def say(kind, *members):
    packet(field(kind, b"".join(field(key, value) for key, value in members)))


def hello(version):
    say(1, (1, version), (2, 2))


class PacketTask(Task):
    def __init__(self, m):
        super().__init__(folder, m[2], m[7], file_of(m[5]) if m.get(5) else m.get(4, b""))
        self.id = m[1]

    def progress(self, percent, note):
        say(4, (1, self.id), (2, percent), (3, note.encode()))
        say(5)

    def noise(self):
        packet(b"")
        packet(b"plain text\n")
        packet(field(31, b"of another time"))
        say(2, (1, b"0123456789abcdef"), (2, b"of a task that is not here"))
        say(2, (1, b"short"))
        say(3, (1, self.id), (2, b"\xff"))
        hello(1)
        hello(2)


def answer(task):
    """The number of the message, and its members but the id."""
    try:
        return 2, (2, perform(task))
    except Later as why:
        return 3, (2, b"later"), (4, int(1000 * why.args[0]))
    except Never as why:
        return 3, (2, str(why).encode()), (3, 1)
    except Exception as why:
        return 3, (2, str(why).encode())


def run(task):
    kind, *members = answer(task)
    del tasks[task.id]  # before it is said: the next attempt has the same id
    say(kind, (1, task.id), *members)


def packets():
    while True:
        head = sys.stdin.buffer.read(4)
        if len(head) < 4:
            return
        yield fields(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))


if "--slow" in sys.argv:
    time.sleep(float(sys.argv[sys.argv.index("--slow") + 1]))
hello(1)
threads = []
for m in packets():
    if 1 in m:
        task = PacketTask(fields(m[1]))
        tasks[task.id] = task
        threads.append(threading.Thread(target=run, args=(task,)))
        threads[-1].start()
    elif 2 in m:
        id = fields(m[2])[1]
        if id in tasks:
            tasks[id].cancelled = True
    elif 3 in m:
        log(folder, "quit", "packet4", 0)
        if "--deaf" not in sys.argv:
            break
else:
    log(folder, "eof", "packet4", 0)
for thread in threads:
    thread.join()
