"""What the programs of the conformance suite do, whatever their tier. A payload that begins with "do " is an order in JSON; of one above 64 KiB its SHA-256 comes back, and of
any other the payload as it is.

    {"fail": TEXT}        fails                                {"never": TEXT}      fails for good
    {"later": SECONDS}    the first attempt asks for so much time, the second is done
    {"work": NAME}        works until DIR/NAME.gate is there; with "progress": PERCENT it says so before
    {"noise": true}       says what says nothing, then is done

Every attempt at {"work"} and {"later"} leaves lines in DIR/did: event, name, token, pid, time."""
import fcntl, hashlib, json, os, time


class Later(Exception):
    pass


class Never(Exception):
    pass


class Cancelled(Exception):
    pass


class Task:
    """A tier's program fills it in; is_cancelled, progress and noise are the tier's."""

    def __init__(self, folder, token, attempt, payload):
        self.folder, self.token, self.attempt, self.payload = folder, token, attempt, payload
        self.cancelled = False

    def progress(self, percent, note):
        raise NotImplementedError

    def noise(self):
        raise NotImplementedError


def file_of(path):
    with open(path, "rb") as f:
        return f.read()


def log(folder, event, name, token):
    fd = os.open(folder + "/did", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, b"%s %s %d %d %.3f\n" % (event.encode(), name.encode(), token, os.getpid(), time.time()))
    os.close(fd)


def work(task, name):
    """Two attempts at once would meet at the lock."""
    lock = os.open("%s/%s.lock" % (task.folder, name), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        log(task.folder, "start", name, task.token)
        while not os.path.exists("%s/%s.gate" % (task.folder, name)):
            if task.cancelled:
                log(task.folder, "cancelled", name, task.token)
                raise Cancelled("as you wish")
            time.sleep(0.005)
        log(task.folder, "end", name, task.token)
        return b"worked"
    except BlockingIOError:
        log(task.folder, "conflict", name, task.token)
        raise Never("another attempt is alive")
    finally:
        os.close(lock)


def perform(task):
    """The result; or one of the exceptions above, or any other for a plain failure."""
    if not task.payload.startswith(b"do "):
        return task.payload if len(task.payload) <= 64 * 1024 else hashlib.sha256(task.payload).hexdigest().encode()
    order = json.loads(task.payload[3:])
    if "fail" in order:
        raise RuntimeError(order["fail"])
    if "never" in order:
        raise Never(order["never"])
    if "later" in order:
        log(task.folder, "later", order["name"], task.token)
        if task.attempt == 1:
            raise Later(order["later"])
        return b"second"
    if "progress" in order:
        task.progress(order["progress"], "page 4")
    if "noise" in order:
        task.noise()
        return b"fine"
    return work(task, order["work"])
