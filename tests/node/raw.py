"""A client of a node that knows nothing but the protocol of troupe-protocol(7): pair0 framing and protobuf by hand. Standard library only."""
import os, socket, struct

# numbers of Envelope.body, and what is in it
WHEREIS, ATTACH, ATTACHED, RUN, STARTED, OUTCOMES, OUTCOMES_ACK, PROGRESS, REVOKE, REVOKED, ABORT, BEAT = 40, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 111
ERROR = 22
ASK, REPLY, FAILED, SIGNAL = 1, 2, 3, 4
DONE, EXIT_FAILED = 1, 2


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def pack(*fields):
    """(number, value): an int, bytes, a str, or a list of them."""
    out = b""
    for number, value in fields:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int):
                out += varint(number << 3) + varint(one)
            else:
                data = one.encode() if isinstance(one, str) else one
                out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def unpack(data):
    """{number: [values]}; a packed list of numbers stays bytes, see numbers()."""
    out, at = {}, 0

    def read():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n
    while at < len(data):
        key = read()
        if key & 7 == 0:
            value = read()
        else:
            length = {1: 8, 5: 4}.get(key & 7) or read()
            value = data[at:at + length]
            at += length
        out.setdefault(key >> 3, []).append(value)
    return out


def numbers(values):
    out = []
    for value in values:
        if isinstance(value, int):
            out.append(value)
            continue
        n = shift = 0
        for byte in value:
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                out.append(n)
                n = shift = 0
    return out


class Raw:
    def __init__(self, path, patience=10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(patience)
        self.socket.connect(path)
        self.socket.sendall(b"\0SP\0\0\x10\0\0")
        assert self.read(8) == b"\0SP\0\0\x10\0\0"
        self.send_frame(pack((1, pack((1, 1), (6, "raw")))))    # hello: version, program
        self.waiting = []
        self.frame()                                            # welcome

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("the node has hung up")
            data += more
        return data

    def send_frame(self, data):
        self.socket.sendall(b"\1" + struct.pack(">Q", len(data)) + data)

    def frame(self):
        head = self.read(9)
        frame = unpack(self.read(struct.unpack(">Q", head[1:])[0]))
        self.waiting += [unpack(e) for e in frame.get(3, [])]

    def say(self, body, message=b"", kind=SIGNAL, to="coordinator:main"):
        """Sends; the id of it."""
        name = os.urandom(16)
        self.send_frame(pack((3, pack((1, to), (6, name), (9, kind), (body, message)))))
        return name

    def hear(self, *bodies, answer_to=None):
        """The next envelope with one of these bodies, or that answers: (number of the body, its fields)."""
        while True:
            for i, e in enumerate(self.waiting):
                body = next((b for b in e if 20 <= b < 200), None)
                if body in bodies or (answer_to and e.get(8) == [answer_to]):
                    del self.waiting[i]
                    return body, unpack(e[body][0])
            self.frame()

    def ask(self, body, message=b"", to="coordinator:main"):
        return self.hear(answer_to=self.say(body, message, ASK, to))

    def close(self):
        self.socket.close()


def mailbox(run_dir, address="coordinator:main"):
    """Where an actor listens, by its node's front."""
    front = Raw(run_dir + "/front")
    body, location = front.ask(WHEREIS, pack((1, address)), to="")
    front.close()
    return location[4][0].decode()


class Worker(Raw):
    """What a worker says and hears."""

    def __init__(self, run_dir, instance):
        super().__init__(mailbox(run_dir))
        self.instance = instance

    def attach(self, *queues, held=(), heartbeat_ms=0, slots=1):
        """held: (token, started). The body of the answer and its fields."""
        return self.ask(ATTACH, pack((2, list(queues)), (4, slots), (5, [pack((1, t), (3, int(s))) for t, s in held]), (11, self.instance), (12, heartbeat_ms)))

    def task(self):
        """The next one: {token, payload, attempt}, begun."""
        _, run = self.hear(RUN)
        a = unpack(run[1][0])
        task = {"token": a[1][0], "payload": a.get(6 + 1, [b""])[0], "attempt": a[5][0]}
        self.say(STARTED, pack((1, [task["token"]])))
        return task

    def done(self, token, result=b""):
        """(acknowledged, stale): lists of tokens."""
        self.say(OUTCOMES, pack((1, pack((1, token), (3, DONE), (6, result)))))
        _, ack = self.hear(OUTCOMES_ACK)
        return numbers(ack.get(1, [])), numbers(ack.get(2, []))
