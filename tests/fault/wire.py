"""The data plane by hand: frames as a program writes that does not mean well. Standard library only; the numbers are those of proto/*.proto."""
import os, socket, struct, time

GREETING = b"\0SP\0\0\x10\0\0"
ASK = 1
FRAME_ENVELOPES, FRAME_HELLO, FRAME_WELCOME, FRAME_CREDIT, FRAME_BYE = 3, 1, 2, 6, 11
PING, PONG, ERROR, WHEREIS, LOCATION, SUBMIT, SUBMITTED, GET, LIST, WAIT, ATTACH, RUN = 20, 21, 22, 40, 41, 60, 61, 62, 64, 65, 100, 102


def varint(n):
    out = b""
    n &= (1 << 64) - 1
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def pack(*fields):
    """(number, value) each: a number, bytes, or text."""
    out = b""
    for number, value in fields:
        if isinstance(value, str):
            value = value.encode()
        out += varint(number << 3 | (2 if isinstance(value, bytes) else 0))
        out += varint(len(value)) + value if isinstance(value, bytes) else varint(value)
    return out


def unpack(data):
    """[(number, value)]."""
    at, found = 0, []

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = number()
        if key & 7 == 0:
            found.append((key >> 3, number()))
        elif key & 7 == 2:
            n = number()
            found.append((key >> 3, data[at:at + n]))
            at += n
        else:
            n = 8 if key & 7 == 1 else 4
            found.append((key >> 3, data[at:at + n]))
            at += n
    return found


def first(data, number, default=None):
    for n, value in unpack(data):
        if n == number:
            return value
    return default


def new_id():
    return int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)


def shown(id):
    """As people see it: 26 characters."""
    value = int.from_bytes(id, "big")
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(value >> shift) & 31] for shift in range(125, -5, -5))


def framed(frame):
    return b"\1" + struct.pack(">Q", len(frame)) + frame


def ask(verb, body, id=None, to="", **more):
    """An envelope. more: numbers of other fields, as f11=2."""
    return pack((1, to), (6, id or new_id()), (9, ASK), *[(int(name[1:]), value) for name, value in more.items()], (verb, body))


def task(queue, payload=b"", id=None, *more):
    return pack((1, id or new_id()), (2, queue), (3, payload), *more)


def submit(*tasks):
    return b"".join(pack((1, t)) for t in tasks)


class Refused(Exception):
    """An answer that is an error: name, text."""


class Wire:
    """A connection. Nothing here waits for longer than its patience."""

    def __init__(self, path, greet=True, hello=False, patience=10):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(patience)
        end = time.monotonic() + patience
        while True:
            try:
                self.socket.connect(path)
                break
            except BlockingIOError: # too many stand before the door
                if time.monotonic() > end:
                    raise
                time.sleep(0.001)
        self.have = b""
        if greet:
            self.socket.sendall(GREETING)
            if self.read(8) != GREETING:
                raise ConnectionError("no greeting")
        if hello:
            self.send(pack((FRAME_HELLO, pack((1, 1)))))
            self.frame()

    def read(self, n):
        while len(self.have) < n:
            more = self.socket.recv(1 << 16)
            if not more:
                raise EOFError("the other end closed")
            self.have += more
        data, self.have = self.have[:n], self.have[n:]
        return data

    def frame(self):
        head = self.read(9)
        return self.read(struct.unpack(">Q", head[1:])[0])

    def send(self, frame):
        self.socket.sendall(framed(frame))

    def ask(self, envelope):
        """The body that answers an envelope; an error is Refused."""
        id = first(envelope, 6)
        self.send(pack((FRAME_ENVELOPES, envelope)))
        while True:
            for number, value in unpack(self.frame()):
                if number == FRAME_ENVELOPES and first(value, 8) == id:
                    verb, body = [(n, v) for n, v in unpack(value) if n >= PING][0]
                    if verb == ERROR:
                        raise Refused(first(body, 2, b"").decode(), first(body, 3, b"").decode())
                    return body
                if number == FRAME_BYE:
                    raise Refused("BYE", first(value, 2, b"").decode())

    def is_closed(self, seconds=10):
        """Whether the other end closes within so long; what it says before is dropped."""
        end = time.monotonic() + seconds
        try:
            while True:
                self.socket.settimeout(max(0.01, end - time.monotonic()))
                if not self.socket.recv(1 << 16):
                    return True
        except socket.timeout:
            return False
        except OSError:
            return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def where(node, address="coordinator:main"):
    """The path of an actor's socket."""
    with Wire(node.dir + "/run/front") as w:
        return first(w.ask(ask(WHEREIS, pack((1, address)))), 4, b"").decode()


def receipts(body):
    """[(id, seq, existing)] of SUBMITTED."""
    return [(first(r, 1), first(r, 2), bool(first(r, 3, 0))) for n, r in unpack(body) if n == 1]
