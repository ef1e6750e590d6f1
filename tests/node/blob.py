#!/usr/bin/env python3
"""blob.py BUILD [MIB]: payloads above 64 KiB on a real node: byte for byte through a program, once on disk however often they are sent, over the deaths of who sends, keeps and fetches
them, and without growing the coordinator. MIB: of each of 50 payloads at once (4)."""
import concurrent.futures, glob, hashlib, json, os, re, signal, subprocess, sys

if sys.argv[1] == "--lines": # the program of a pool
    print('{"hello":1,"max":2}', flush=True)
    for line in sys.stdin:
        given = json.loads(line)
        if "task" in given:
            with open(given["payload_file"], "rb") as f:
                print(json.dumps({"done": given["task"], "result": hashlib.sha256(f.read()).hexdigest() + str(given.get("payload"))}), flush=True)
    sys.exit(0)

from node import Node, Tap, kill, until

build = os.path.abspath(sys.argv[1])
many_mib = int(sys.argv[2]) if len(sys.argv) > 2 else 4
tap = Tap()
LIMIT = 16 << 20
QUEUES = 'queue "sum" { }\nqueue "lines" { }\nqueue "dead" { max_attempts = 1 }\nqueue "idle" { }'
POOLS = '''  pool "sum" { size = 2  mode = exec  queues = {"sum"}  command = {"/bin/sh", "-c", "sha256sum | cut -c 1-64"} }
  pool "lines" { size = 2  mode = lines  queues = {"lines"}  command = {"''' + sys.executable + '", "' + os.path.abspath(__file__) + '''", "--lines"} }
  pool "dead" { size = 1  mode = exec  queues = {"dead"}  command = {"/bin/false"} }'''


def payload(size):
    return os.urandom(size)


def sum_of(data):
    return hashlib.sha256(data).hexdigest()


def put_file(node, name, data):
    path = node.dir + "/" + name
    with open(path, "wb") as f:
        f.write(data)
    return path


def blobs(node):
    return os.listdir(folder(node)) if os.path.isdir(folder(node)) else []


def folder(node):
    return node.dir + "/state/actors/coordinator/main/blob"


def fetched(node):
    """Files of payloads that workers have, or are getting: {path: size}."""
    found = {}
    for path in glob.glob(node.dir + "/state/actors/worker/*/*/payload/*"):
        try:
            found[path] = os.stat(path).st_size
        except OSError:
            pass
    return found


def task(node, ident):
    return node.rows("get", ident)[0]


def fits(node):
    done = node.troupe("check-store", "--payload")
    return done.returncode == 0, done.stdout + done.stderr


def story(name, more=""):
    def run(fn):
        node = Node(build, more + QUEUES, POOLS)
        try:
            node.start()
            ok, notes = fn(node)
            whole, said = fits(node)
            tap.point(ok and whole, name, notes, said, "" if ok and whole else node.tail())
        except (TimeoutError, RuntimeError, subprocess.TimeoutExpired) as e:
            tap.point(False, name, e, node.tail())
        finally:
            node.remove()
    return run


@story("payloads of every size go through a program byte for byte, up to the limit and not a byte above")
def _(node):
    wrong = []
    for size in (0, 1, 65535, 65536, 65537, 1 << 20, LIMIT - 1, LIMIT):
        data = payload(size)
        done = node.troupe("submit", "sum", "--file", put_file(node, "p", data), "--wait")
        if done.returncode or sum_of(data) not in done.stdout:
            wrong.append((size, done.stdout, done.stderr))
    over = node.troupe("submit", "sum", "--file", put_file(node, "p", payload(LIMIT + 1)))
    if over.returncode != 65 or str(LIMIT) not in over.stderr or "blob_max" not in over.stderr:
        wrong.append(("over", over.stdout, over.stderr))
    with open("/dev/zero", "rb") as zeros:
        endless = subprocess.run([build + "/actors/tools/troupe", "submit", "sum", "-"], stdin=zeros, capture_output=True, text=True, env=node.env, timeout=60)
    if endless.returncode != 65:
        wrong.append(("endless", endless.stdout, endless.stderr))
    until(lambda: not fetched(node), 10, "workers keep no payload")
    return not wrong and len(blobs(node)) == 4, (wrong, blobs(node))


@story("the limit is the configuration's", 'blob_max = "100K"\n')
def _(node):
    done = [node.troupe("submit", "sum", "--file", put_file(node, "p", payload(size)), "--wait") for size in (102399, 102400, 102401)]
    return [d.returncode for d in done] == [0, 0, 65] and "at most 102400 bytes" in done[2].stderr, done


@story("a program of the lines tier is told where its payload is")
def _(node):
    done = []
    for size in (65537, 5 << 20):
        data = payload(size)
        done.append((sum_of(data) + "None", node.troupe("submit", "lines", "--file", put_file(node, "p", data), "--wait")))
    until(lambda: not fetched(node), 10, "workers keep no payload")
    return all(said.returncode == 0 and said.stdout.split()[-1] == want for want, said in done), done


@story("a worker from outside the tree fetches payloads too, over the death of the coordinator")
def _(node):
    wrong = []
    for command in (["--", "sh", "-c", "sha256sum | cut -c 1-64; sha256sum <$TROUPE_PAYLOAD_FILE | cut -c 1-64"], ["--lines", "--", sys.executable, os.path.abspath(__file__), "--lines"]):
        data = payload(LIMIT)
        ident = node.troupe("submit", "idle", "--file", put_file(node, "p", data)).stdout.strip()
        worker = subprocess.Popen([build + "/actors/tools/troupe", "worker", "run", "idle", *command], env=node.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            until(lambda: task(node, ident)["state"] != "ready", 20, "the task is given")
            kill(node.actors("coordinator:")[0])
            ended = node.wait_all([ident], 30)
            result = node.troupe("result", ident).stdout.split()
            worker.terminate()
            code = worker.wait(20)
            if not ended or code or not result or result[0][:64] != sum_of(data) or result[-1][:64] != sum_of(data):
                wrong.append((ended, code, result, worker.stderr.read()))
        finally:
            kill(worker.pid)
            worker.wait()
    return not wrong, wrong


@story("a payload comes back by get, from a pipe too, and its task shows size and hash")
def _(node):
    data = payload(3 << 20)
    done = subprocess.run([build + "/actors/tools/troupe", "submit", "idle", "-"], input=data, capture_output=True, env=node.env)
    ident = done.stdout.decode().strip()
    out = subprocess.run([build + "/actors/tools/troupe", "get", ident, "--output", "-"], capture_output=True, env=node.env)
    node.troupe("get", ident, "--output", node.dir + "/o")
    with open(node.dir + "/o", "rb") as f:
        same = f.read() == data and out.stdout == data
    row = task(node, ident)
    inside = node.rows("get", ident, "--payload")[0]
    return same and row["payload_size"] == len(data) and row["payload_sha256"] == sum_of(data) and len(inside["payload_base64"]) == len(data) // 3 * 4, (done, row)


@story("the same payload from 20 clients at once is one file")
def _(node):
    path = put_file(node, "p", payload(8 << 20))
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda i: node.troupe("submit", "idle", "--file", path), range(20)))
    ids = [d.stdout.strip() for d in done]
    one = len(blobs(node)) == 1 and len(set(ids)) == 20
    return one and all(d.returncode == 0 for d in done), [d.stderr for d in done if d.returncode] + blobs(node)


@story("a client goes on when the coordinator is killed while it sends, five times")
def _(node):
    deaths = 0
    for i in range(5):
        data = payload(LIMIT)
        path = put_file(node, "p", data)
        before = set(blobs(node))
        client = subprocess.Popen([build + "/actors/tools/troupe", "submit", "sum", "--wait", "--file", path], env=node.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def under_way():
            return client.poll() is not None or [n for n in set(blobs(node)) - before if n.startswith("tmp-") and os.path.getsize(folder(node) + "/" + n) > 0]
        until(under_way, 20, "the upload begins")
        if client.poll() is None:
            deaths += 1
            kill(node.actors("coordinator:")[0])
        out, err = client.communicate(timeout=60)
        if client.returncode or sum_of(data) not in out:
            return False, (out, err)
    left = [n for n in blobs(node) if n.startswith("tmp-")]
    return deaths >= 3 and not left and len(blobs(node)) == 5, (deaths, blobs(node))


def holders(node, path):
    """The worker that writes this file."""
    found = []
    for pid in node.actors("worker:"):
        try:
            found += [pid for fd in os.listdir("/proc/%d/fd" % pid) if os.readlink("/proc/%d/fd/%s" % (pid, fd)) == path]
        except OSError:
            pass
    return found


@story("a worker that is killed while it fetches costs no attempt: the task is done elsewhere")
def _(node):
    deaths, wrong = 0, []
    for i in range(20):
        data = payload(LIMIT)
        ident = node.troupe("submit", "sum", "--file", put_file(node, "p", data)).stdout.strip()

        def fetching():
            return [path for path, size in fetched(node).items() if 0 < size < LIMIT] or task(node, ident)["state"] == "done"
        got = until(fetching, 20, "the payload is fetched")
        for pid in holders(node, got[0]) if got is not True else []:
            kill(pid, signal.SIGSTOP)
            if 0 < fetched(node).get(got[0], 0) < LIMIT:
                deaths += kill(pid)
            kill(pid, signal.SIGCONT)
        if not node.wait_all([ident], 30):
            wrong.append("not final")
        result = node.troupe("result", ident).stdout
        if sum_of(data) not in result or task(node, ident)["attempts"] != 1:
            wrong.append((result, task(node, ident)))
        if deaths >= 3:
            break
    until(lambda: not fetched(node), 10, "nothing of it is left")
    return deaths >= 1 and not wrong, (deaths, wrong)


def dies_at(point):
    def run(node):
        node.stop()
        node.start(TROUPE_FAULT="coordinator/" + point, TROUPE_FAULT_ONCE=node.dir + "/once")
        data = payload(1 << 20)
        done = node.troupe("submit", "sum", "--wait", "--file", put_file(node, "p", data))
        return os.path.exists(node.dir + "/once") and done.returncode == 0 and sum_of(data) in done.stdout and len(blobs(node)) == 1, (done, blobs(node))
    return run


story("a death between the name of the file and the commit loses nothing")(dies_at("blob.after_rename"))
story("a death between the commit and the answer loses nothing")(dies_at("blob.after_commit"))


@story("a bulk names files, small and large, and an export names them again")
def _(node):
    large, small = payload(200000), payload(1000)
    lines = [{"payload_file": put_file(node, "large", large)}, {"payload_file": put_file(node, "small", small)}, {"payload": "x" * 100000}]
    path = put_file(node, "bulk", "".join(json.dumps(line) + "\n" for line in lines).encode())
    missing = node.troupe("submit", "idle", "--bulk", put_file(node, "bad", b'{"payload_file": "/no/such/file"}\n'))
    done = node.troupe("submit", "dead", "--bulk", path, "-q")
    ids = done.stdout.split()
    if len(ids) != 3 or not node.wait_all(ids, 30):
        return False, done
    exported = node.troupe("dlq", "export", "--files", node.dir + "/files")
    rows = [json.loads(line) for line in exported.stdout.splitlines()]
    sums = sorted(os.listdir(node.dir + "/files"))
    again = node.troupe("submit", "sum", "--bulk", put_file(node, "again", exported.stdout.replace('"dead"', '"sum"').encode()), "-q")
    named = node.troupe("submit", "sum", "--bulk", put_file(node, "named", node.troupe("dlq", "export").stdout.replace('"dead"', '"sum"').encode()), "-q")
    both = again.stdout.split() + named.stdout.split()
    node.wait_all(both, 30)
    results = sorted(node.troupe("result", i).stdout.strip() for i in both)
    want = sorted(2 * [sum_of(large), sum_of(small), sum_of(b"x" * 100000)])
    return missing.returncode == 3 and "line 1" in missing.stderr and len(rows) == 3 and sums == sorted([sum_of(large), sum_of(b"x" * 100000)]) and results == want, \
        (missing, again, named, results, want, rows)


@story("a damaged payload is found by check-store and is run by nobody; sent again it is whole")
def _(node):
    data = payload(300000)
    path = put_file(node, "p", data)
    first = node.troupe("submit", "idle", "--file", path).stdout.strip()
    with open(folder(node) + "/" + sum_of(data), "r+b") as f:
        f.seek(1000)
        f.write(bytes([data[1000] ^ 1]))
    fast, deep = node.troupe("check-store"), node.troupe("check-store", "--payload")
    ident = node.troupe("submit", "sum", "--file", path).stdout.strip()
    ended = node.wait_all([ident], 30)
    row = task(node, ident)
    lost = ended and row["state"] == "dead" and row["cause"] == "rejected" and "payload is lost" in row["last_error"]
    os.unlink(folder(node) + "/" + sum_of(data))
    gone = node.troupe("check-store")
    again = node.troupe("submit", "sum", "--file", path, "--wait")
    return fast.returncode == 0 and deep.returncode == 1 and gone.returncode == 1 and lost and sum_of(data) in again.stdout and node.troupe("get", first, "--output", node.dir + "/o").returncode == 0, \
        (fast, deep, gone, row, again)


@story("50 payloads of %d MiB at once do not grow the coordinator" % many_mib)
def _(node):
    size = many_mib << 20
    base = payload(size - 8)
    pid = node.actors("coordinator:")[0]

    def one(i):
        return subprocess.run([build + "/actors/tools/troupe", "submit", "idle", "-q", "-"], input=b"%08d" % i + base, capture_output=True, env=node.env, timeout=300)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        done = list(pool.map(one, range(50)))
    with open("/proc/%d/status" % pid) as f:
        peak_mib = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) / 1024
    tap.note("the coordinator had at most %.0f MiB" % peak_mib)
    return all(d.returncode == 0 for d in done) and len(blobs(node)) == 50 and (node.is_sanitized() or peak_mib < 150), [d.stderr for d in done if d.returncode][:3] + [peak_mib]


tap.end()
