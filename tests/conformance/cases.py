"""The cases. Each takes the tier and a desk, and raises Wrong where something else was seen."""
import glob, json, subprocess, time

from desk import PATIENCE, Wrong, expect
from node import kill, until

INLINE = 64 * 1024  # bytes of a payload; a larger one is a file for its program
LIMIT = 16 << 20  # that a submit takes
CASES = []


OBEY, EXAMPLE = True, False


def case(name, *obeys):
    """A case of tiers whose programs obey orders, or of examples, which do not; without either, of all."""
    def keep(fn):
        CASES.append((name, obeys or (OBEY, EXAMPLE), fn))
        return fn
    return keep


def comes_back(tier, desk, payload):
    result, wanted = desk.result(desk.submit(tier.name, payload)), tier.expected(payload)
    if isinstance(wanted, dict):
        result = json.loads(result)
    expect(wanted is None or result == wanted, "the result is", repr(result)[:200])


@case("hello")
def hello(tier, desk):
    row = desk.worker_comes(tier.name)
    expect(row["state"] == "idle" and row["queues"] == [tier.name], row)


@case("as many at once as it has said", OBEY)
def slots(tier, desk):
    names = ["%s-slot%d" % (tier.name, i) for i in range(tier.slots + 1)]
    ids = [desk.submit(tier.name, {"work": name}) for name in names]
    for name in names[:-1]:
        desk.started(name)
    expect(not desk.of(names[-1]), "one more than", tier.slots, "has begun")
    for name in names:
        desk.open(name)
    for id in ids:
        expect(desk.result(id) == b"worked", "not worked")


@case("done, byte for byte")
def done(tier, desk):
    comes_back(tier, desk, "zwölf \"quoted\" \\ tab\t \r\n line\n {\"a\": 1} \u2028\u2029 \U0001f600".encode())


@case("a payload of 0 bytes", OBEY)
def nothing(tier, desk):
    comes_back(tier, desk, b"")


@case("bytes that are not UTF-8")
def not_utf8(tier, desk):
    comes_back(tier, desk, bytes(range(1, 256)) + b"\xc0\x80\xed\xa0\x80")


@case("NUL bytes")
def nul(tier, desk):
    comes_back(tier, desk, b"a\0b\0\0")


@case("a giant payload: the last that is no file, less one byte")
def below_inline(tier, desk):
    comes_back(tier, desk, b"\xff" * (INLINE - 1))


@case("a giant payload: the last that is no file")
def at_inline(tier, desk):
    comes_back(tier, desk, b"\"\n" * (INLINE // 2))


@case("a giant payload: in a file")
def above_inline(tier, desk):
    comes_back(tier, desk, b"\0\xff\n" * (INLINE // 3) + b"ab")
    until(lambda: not glob.glob(desk.node.dir + "/state/actors/worker/*/*/payload/*"), PATIENCE, "the file is removed")


@case("a giant payload: limit - 1", OBEY)
def below_limit(tier, desk):
    comes_back(tier, desk, b"x" * (LIMIT - 1))


@case("a giant payload: limit", OBEY)
def at_limit(tier, desk):
    comes_back(tier, desk, b"y" * LIMIT)


@case("a giant payload: limit + 1 is refused by submit", OBEY)
def above_limit(tier, desk):
    done = desk.tool("submit", tier.name, "-", "-q", input=b"z" * (LIMIT + 1))
    expect(done.returncode == 65 and b"TOO_LARGE" in done.stderr, done.returncode, done.stderr)


@case("fail", OBEY)
def fail(tier, desk):
    row = desk.ends(desk.submit(tier.name, {"fail": "no such order"}), "dead")
    expect(row["cause"] == "exhausted" and row["attempts"] == 3 and "no such order" in row["last_error"], row)


@case("fail for good", OBEY)
def never(tier, desk):
    row = desk.ends(desk.submit(tier.name, {"never": "no such order"}), "dead")
    expect(row["cause"] == "rejected" and row["attempts"] == 1 and "no such order" in row["last_error"], row)


@case("fail, of an example", EXAMPLE)
def example_fails(tier, desk):
    row = desk.ends(desk.submit(tier.name, b""), "dead")
    expect(row["cause"] == "rejected" and "an empty payload" in row["last_error"], row)


@case("try later", OBEY)
def later(tier, desk):
    name = tier.name + "-again"
    expect(desk.result(desk.submit(tier.name, {"later": 0.01, "name": name})) == b"second", "not the second attempt's result")
    expect(len(desk.of(name, "later")) == 2, desk.of(name))


@case("retry-after", OBEY)
def retry_after(tier, desk):
    name = tier.name + "-after"
    expect(desk.result(desk.submit(tier.name, {"later": 0.6, "name": name})) == b"second", "not the second attempt's result")
    first, second = desk.of(name, "later")
    expect(0.6 <= second[4] - first[4] < 5, second[4] - first[4], "seconds between the attempts")


@case("progress", OBEY)
def progress(tier, desk):
    name = tier.name + "-progress"
    id = desk.submit(tier.name, {"work": name, "progress": 40})
    row = until(lambda: (lambda r: r["percent"] and r)(desk.row(id)), PATIENCE, "progress is seen")
    expect(row["percent"] == 40 and row["note"] == "page 4", row)
    desk.open(name)
    desk.ends(id)


@case("cancel what is queued", OBEY)
def cancel_queued(tier, desk):
    busy = ["%s-busy%d" % (tier.name, i) for i in range(tier.slots)]
    ids = [desk.submit(tier.name, {"work": name}) for name in busy]
    for name in busy:
        desk.started(name)
    queued = desk.submit(tier.name, {"work": tier.name + "-queued"})
    expect(desk.tool("cancel", queued, "--yes").returncode == 0, "cancel failed")
    desk.ends(queued, "cancelled")
    for name, id in zip(busy, ids):
        expect(desk.row(id)["state"] == "running", "the others run on")
        desk.open(name)
    for id in ids:
        desk.ends(id)
    expect(not desk.of(tier.name + "-queued"), "it has begun")


@case("cancel what runs", OBEY)
def cancel_running(tier, desk):
    name = tier.name + "-cancelled"
    id = desk.submit(tier.name, {"work": name})
    desk.started(name)
    expect(desk.tool("cancel", id, "--yes").returncode == 0, "cancel failed")
    desk.ends(id, "cancelled")
    expect([line[0] for line in desk.of(name)] == ["start", "cancelled"], desk.of(name))
    comes_back(tier, desk, b"next")


@case("stray output", OBEY)
def stray(tier, desk):
    ids = [desk.submit(tier.name, {"noise": True}) for _ in range(2)]
    for id in ids:
        expect(desk.result(id) == b"fine" and desk.row(id)["attempts"] == 1, desk.row(id))


@case("a crash in the middle of a task", OBEY)
def crash(tier, desk):
    name = tier.name + "-crash"
    id = desk.submit(tier.name, {"work": name})
    kill(desk.started(name)[0][3])
    second = desk.started(name, 2)
    desk.open(name)
    expect(desk.result(id) == b"worked", "not worked")
    row = desk.row(id)
    expect([line[0] for line in desk.of(name)] == ["start", "start", "end"], desk.of(name))
    expect(second[0][2] < second[1][2] == row["token"] and row["attempts"] == 2, second, row)


@case("slow start", OBEY)
def slow_start(tier, desk):
    # At any time after a worker's start: whatever has begun before the program was there would be seen here.
    desk.worker_comes(tier.slow)
    expect(desk.tool("actor", "restart", tier.address(tier.slow)).returncode == 0, "restart failed")
    ids = [desk.submit(tier.slow, b"x%d" % i) for i in range(2)]
    for i, id in enumerate(ids):
        expect(desk.result(id) == b"x%d" % i and desk.row(id)["attempts"] == 1, desk.row(id))


@case("exit 99", OBEY)
def exit_99(tier, desk):
    before = desk.worker_comes(tier.name)["pid"]
    id = desk.submit(tier.name, b"drain")
    expect(desk.result(id) == b"drain", "not drained")
    tier.drained(desk)
    desk.worker_comes(tier.name, but=before)
    comes_back(tier, desk, b"next")


@case("drain: what is in work is finished, then it leaves", OBEY)
def drain(tier, desk):
    name = tier.name + "-drain"
    before = desk.worker_comes(tier.name)["pid"]
    id = desk.submit(tier.name, {"work": name})
    desk.started(name)
    tier.leaves(desk)
    expect(desk.row(id)["state"] == "running", "its task was taken")
    desk.open(name)
    tier.left(desk)
    expect(desk.result(id) == b"worked" and desk.row(id)["attempts"] == 1, desk.row(id))
    tier.comes(desk)
    desk.worker_comes(tier.name, but=before)
    comes_back(tier, desk, b"next")


@case("end of stdin", OBEY)
def end_of_stdin(tier, desk):
    address = tier.address(tier.deaf)
    desk.worker_comes(tier.deaf)
    expect(desk.result(desk.submit(tier.deaf, b"x")) == b"x", "not done")
    seen, from_s = len(desk.log("eof")), time.monotonic()
    expect(desk.tool("actor", "stop", address, "--yes").returncode == 0, "stop failed")
    until(lambda: not desk.actor(address), PATIENCE, "it leaves")
    expect(time.monotonic() - from_s < 15 and len(desk.log("eof")) == seen + 1, time.monotonic() - from_s, desk.log("eof", "quit"))


@case("drain of an example", EXAMPLE)
def example_drains(tier, desk):
    from_s = time.monotonic()
    tier.leaves(desk)
    tier.left(desk)
    expect(time.monotonic() - from_s < 15, "it had to be killed")


@case("end of stdin of an example", EXAMPLE)
def example_ends(tier, desk):
    program = subprocess.Popen(tier.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    expect(program.stdout.read(4), "it says nothing")
    program.stdin.close()
    try:
        expect(program.wait(PATIENCE) == 0, "exit status", program.returncode)
    except subprocess.TimeoutExpired:
        program.kill()
        raise Wrong("it stays")
    finally:
        program.stdout.close()
