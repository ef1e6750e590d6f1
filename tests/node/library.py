#!/usr/bin/env python3
"""library.py SOURCE BUILD CLIENT STORY NOOP_LINES COMPILER...: libtroupe as a program outside the tree has it. The example of libtroupe(3) is compiled against what is installed, by
pkg-config, and run; STORY does each operation once; CLIENT submits while the coordinator is killed again and again."""
import glob, json, os, re, shutil, subprocess, sys, tempfile

from node import Node, Tap, kill, until

source, build, client, story, noop = map(os.path.abspath, sys.argv[1:6])
compiler = sys.argv[6:]
KILLS = 8
tap = Tap()
node = Node(build, queues='queue "texts" { }\nqueue "kills" { }\nqueue "late" { }\nqueue "narrow" { max_tasks = 2  full = block }',
            pools='  pool "texts" { size = 1  mode = exec  queues = {"texts"}  command = {"/usr/bin/tr", "a-z", "A-Z"} }\n'
                  '  pool "kills" { size = 2  mode = lines  queues = {"kills"}  command = {"' + noop + '"} }')
place = tempfile.mkdtemp(prefix="troupe-installed.", dir="/tmp")


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **more)


def example():
    """The program that the page shows."""
    with open(source + "/man/libtroupe.3") as f:
        page = f.read()
    text = re.search(r"\.Sh EXAMPLES\n.*?\.Bd -literal\n(.*?)\.Ed\n", page, re.S).group(1)
    return text.replace("\\e", "\\").replace("\\&", "").replace("\\-", "-")


def installed(words):
    """What pkg-config says of the installed library."""
    folder = glob.glob(place + "/**/pkgconfig", recursive=True)[0]
    env = dict(os.environ, PKG_CONFIG_LIBDIR=folder, PKG_CONFIG_SYSROOT_DIR=place, PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1", PKG_CONFIG_ALLOW_SYSTEM_LIBS="1")
    env.pop("PKG_CONFIG_PATH", None)
    said = run(["pkg-config"] + words + ["libtroupe"], env=env)
    if said.returncode:
        raise RuntimeError(said.stdout)
    return said.stdout.split()


def library_folder():
    return os.path.dirname(glob.glob(place + "/**/libtroupe.so.0", recursive=True)[0])


def sanitizers():
    """A program whose library is sanitized must be so too."""
    needed = run(["readelf", "-d", library_folder() + "/libtroupe.so.0"]).stdout
    return ["-fsanitize=address,undefined"] if "libasan" in needed else []


def compiled():
    with open(place + "/example.c", "w") as f:
        f.write(example())
    said = run(compiler + ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"] + sanitizers() + ["-o", place + "/example", place + "/example.c"] + installed(["--cflags", "--libs"]))
    return tap.point(said.returncode == 0, "the example of libtroupe(3) is compiled by the words of pkg-config, as plain C11", said.stdout)


def test_example():
    env = dict(node.env, LD_LIBRARY_PATH=library_folder())
    said = run([place + "/example", "texts", "hello"], env=env)
    tap.point(said.returncode == 0 and re.fullmatch(r"#\d+ is done after 1 attempt\(s\)\nHELLO", said.stdout), "it submits, waits and prints the result", said.stdout)
    said = run([place + "/example", "nowhere", "hello"], env=env)
    tap.point(said.returncode == 1 and "NO_QUEUE" in said.stdout, "an error has a name and a text", said.stdout)
    said = run([place + "/example", "texts", "hello"], env=dict(env, TROUPE_RUN_DIR=place))
    tap.point(said.returncode == 1 and "NOT_REACHABLE" in said.stdout, "without a node it says so at once", said.stdout)


def test_header():
    """The header is C++ too, where a compiler for that is there."""
    cxx = shutil.which("c++")
    name = "the header compiles as C++"
    if not cxx:
        tap.skip(name, "there is no c++")
        return
    with open(place + "/header.cc", "w") as f:
        f.write("#include <troupe.h>\nint main() { struct troupe_task task = TROUPE_TASK_INIT; return troupe_version() == nullptr || task.priority != TROUPE_PRIORITY_NORMAL; }\n")
    said = run([cxx, "-std=c++20", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror", "-fsyntax-only", place + "/header.cc"] + installed(["--cflags"]))
    tap.point(said.returncode == 0, name, said.stdout)


def test_story():
    said = run([story], env=node.env)
    for line in said.stdout.splitlines():
        verdict, _, what = line.partition(" ")
        tap.point(verdict == "yes", what.partition(":")[0], line)
    tap.point(said.returncode == 0 and said.stdout.count("\n") >= 15, "the program that shows it comes to its end", said.stdout)


def test_kills():
    process = subprocess.Popen([client, "kills"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=node.env)
    begun = process.stdout.readline()
    for _ in range(KILLS):
        process.stdout.readline()
        for pid in until(lambda: node.actors("coordinator:"), 20, "a coordinator"):
            kill(pid)
        until(lambda: not os.path.exists("/proc/%d" % pid), 20, "the death of a coordinator")
    out, err = process.communicate(timeout=120)
    told = json.loads(out.splitlines()[-1]) if out else {}
    tap.note(out.strip().splitlines()[-1] if out else "it said nothing")
    given = told.get("given", 0)
    tap.point(begun == "more\n" and process.returncode == 0 and given > 0, "a program submits while the coordinator is killed %d times" % KILLS, out, err, node.tail())
    for what in ("receipts", "accepted", "done", "finished"):
        tap.point(told.get(what) == [given, 0], "%s: every task is told, and none twice" % what, told)
    tap.point(told.get("gaps") == 0 and told.get("wrong") == 0, "nothing is told that did not happen", told)
    rows = json.loads(run([build + "/actors/tools/troupe", "queue", "show", "kills", "--json"], env=node.env).stdout)
    tap.point(rows.get("done") == given and rows.get("dead") == 0 and rows.get("ready") == 0, "the queue has as many done tasks, and no others", rows)


try:
    said = run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--tags", "devel,runtime"], env=dict(os.environ, DESTDIR=place))
    tap.point(said.returncode == 0, "the library is installed", said.stdout)
    node.start()
    if compiled():
        test_example()
    test_header()
    test_story()
    test_kills()
finally:
    node.remove()
    shutil.rmtree(place, ignore_errors=True)
tap.end()
