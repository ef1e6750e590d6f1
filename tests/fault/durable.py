#!/usr/bin/env python3
"""durable.py BUILD: what the kernel saw. No submit is answered before the fdatasync of the log record that it is in; an fdatasync that fails is the end of the
coordinator, nothing after it is acknowledged, its successor serves. Needs strace(1); without the right to trace it is skipped."""
import os, re, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../node"))
from node import Node, Tap, until

build = os.path.abspath(sys.argv[1])
tap = Tap()
CALLS = "fdatasync,fsync,pwrite64,pwritev,write,writev,sendmsg,sendto"


def trace(pid, path, *more):
    p = subprocess.Popen(["strace", "-f", "-y", "-ttt", "-s", "0", "-e", "trace=" + CALLS, "-o", path, *more, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    line = p.stderr.readline()
    if "attached" not in line:
        return None
    return p


def order(path):
    """The calls that matter, as a word: l a record of the log, s its fdatasync; D a data page, S fdatasync of the data, M the meta page (an O_DSYNC write to the file's beginning);
    A something sent to a client. What is sent counts when it begins, the others when they have returned."""
    word, begun = [], {}
    for line in open(path, errors="replace"):
        thread = line.split()[0]
        if "resumed>" in line:
            line = begun.pop(thread, "") + line.split("resumed>", 1)[1]
        call = re.search(r"\b(fdatasync|fsync|pwrite64|pwritev|writev|write|sendmsg|sendto)\(", line)
        if not call:
            continue
        sends = call.group(1) in ("writev", "sendmsg", "write", "sendto") and ("UNIX-STREAM" in line or "socket:" in line)
        if "<unfinished" in line:
            if sends:
                word.append("A")
            else:
                begun[thread] = line.split("<unfinished")[0].rstrip()
            continue
        sync = call.group(1) in ("fdatasync", "fsync")
        if "commit.log" in line:
            word.append("s" if sync else "l")
        elif "data.mdb" in line and sync:
            word.append("S")
        elif "data.mdb" in line:
            offset = re.search(r", (\d+)\)\s+= ", line)
            size = re.search(r"\)\s+= (\d+)", line)
            meta = call.group(1) == "pwrite64" and offset and int(offset.group(1)) < 8192 and size and int(size.group(1)) < 4096
            word.append("M" if meta else "D")
        elif sends:
            word.append("A")
    return "".join(word)


node = Node(build, 'queue "q" { }', '  child "idle" { command = {"/bin/sleep", "1000"} }')
try:
    node.start()
    node.troupe("queue", "pause", "q") # nobody but clients is answered
    coordinator = node.actors("coordinator:")[0]
    path = node.dir + "/trace"
    p = trace(coordinator, path)
    if not p:
        print("1..0 # SKIP strace may not trace here")
        sys.exit(0)
    for i in range(20):
        node.troupe("submit", "q", "payload %d" % i)
    until(lambda: "data.mdb" in open(path, errors="replace").read(), 10, "a checkpoint follows")
    p.terminate()
    p.wait()
    word = order(path)
    tap.note(word[:200])
    tap.point(len(re.findall(r"l+s", word)) >= 20, "each of 20 submits has a commit of its own: a record of the log and its fdatasync", word)
    tap.point(not re.search(r"l[^s]*A", word), "nothing is sent between the record of a commit and its fdatasync", word)
    tap.point(re.fullmatch(r"A*(l+sA+)+", re.sub("[DSM]", "", word)) is not None, "every commit is followed by its answer", word)
    data = re.sub("[lsA]", "", word)
    tap.point(re.fullmatch(r"(D+SM)+", data) is not None and not re.search(r"D[^M]*l", word), "the data follow: pages, fdatasync, meta page, and no commit meanwhile", word)

    with open(node.dir + "/large", "wb") as f:
        f.write(os.urandom(300000))
    p = trace(coordinator, node.dir + "/trace1", "-e", "trace=fsync,fdatasync,renameat,renameat2")
    node.troupe("submit", "q", "--file", node.dir + "/large")
    p.terminate()
    p.wait()
    calls = [line for line in open(node.dir + "/trace1", errors="replace") if re.search(r"(fsync|fdatasync|renameat2?)\(", line)]
    word = "".join("F" if "/blob/tmp-" in line and "fsync(" in line else "R" if "rename" in line else "D" if "/blob>" in line else "C" if "commit.log" in line else "" for line in calls)
    tap.point(re.search("FRDC", word) is not None, "a large payload: its file, its name, the folder, and only then the commit that answers", word, "".join(calls))

    before = {row["id"] for row in node.rows("list", "--limit", "0")}
    p = trace(coordinator, node.dir + "/trace2", "-e", "inject=fdatasync:error=EIO:when=1")
    done = subprocess.Popen([build + "/actors/tools/troupe", "submit", "q", "must not be lost", "--timeout", "1500ms"], env=node.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: not os.path.exists("/proc/%d" % coordinator), 10, "the coordinator ends after the failed fdatasync")
    out, err = done.communicate()
    p.wait()
    tap.point(True, "a failed fdatasync ends the coordinator")
    until(lambda: node.actors("coordinator:") and node.troupe("ping", "coordinator:main").returncode == 0, 10, "its successor answers")
    after = {row["id"] for row in node.rows("list", "--limit", "0")}
    acknowledged = set(out.split()) if done.returncode == 0 else set()
    tap.point(acknowledged <= after and before <= after, "what was acknowledged is there: all before, and nothing that failed", out, err)
    crashes = node.troupe("crashes").stdout
    tap.point("coordinator:main" in crashes, "and there is a report of its end", crashes)
    again = node.troupe("submit", "q", "after the failure")
    tap.point(again.returncode == 0 and again.stdout.strip() in {row["id"] for row in node.rows("list", "--limit", "0")}, "its successor takes and keeps tasks", again.stderr)
    tap.point(node.troupe("check-store").returncode == 0, "the ledger fits itself")
finally:
    node.remove()
tap.end()
