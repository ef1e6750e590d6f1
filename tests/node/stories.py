"""Stories over real nodes: each is a sentence and a function that returns (is it so, what to show where not). Standard library only."""
import os, sys
from node import Node, Tap

build = os.path.abspath(sys.argv[1])
here = os.path.dirname(os.path.abspath(__file__))
tap = Tap()
HEAD = 'run_dir = "%(dir)s/run"\nstate_dir = "%(dir)s/state"\nuser = ""\nstop_timeout = "10s"\n'
FRONT = '  actor "topic:events" { }\n  actor "front:main" { }\n'
stories = []


def story(sentence):
    def keep(fn):
        stories.append((sentence, fn))
        return fn
    return keep


def stub(name, *options, **keys):
    more = "".join("  %s = %s" % pair for pair in keys.items())
    return '  child "%s" { ready = lifeline  command = {"%s/stub.py", "%%(dir)s/lives"%s}%s }\n' % (name, here, "".join(', "%s"' % o for o in options), more)


def tree(*children, strategy="one_for_one", front=False):
    return HEAD + 'supervisor "root" {\n  strategy = %s\n' % strategy + (FRONT if front else "") + "".join(children) + "}\n"


def lives(node, *events):
    """[(name, incarnation, pid, event)] so far."""
    try:
        with open(node.dir + "/lives") as f:
            all_ = [(n, int(i), int(p), e) for n, i, p, e in (line.split() for line in f)]
    except FileNotFoundError:
        return []
    return [x for x in all_ if not events or x[3] in events]


def trace(node, *events):
    return " ".join(n + "+" if e == "ready" else n + "-" for n, _, _, e in lives(node, *(events or ("ready", "end"))))


def pid_of(node, name):
    return [p for n, _, p, e in lives(node, "ready") if n == name][-1]


def run(text, fn):
    node = Node(build, text=text)
    try:
        return fn(node)
    finally:
        node.remove()


def tell_all():
    """Runs those whose sentences hold a word of the command line, or all, and exits."""
    wanted = sys.argv[2:]
    for sentence, fn in stories:
        if wanted and not any(w in sentence for w in wanted):
            continue
        try:
            result = fn()
            tap.point(bool(result[0]), sentence, *result[1:])
        except (TimeoutError, RuntimeError, OSError, IndexError, KeyError) as e:
            tap.point(False, sentence, repr(e))
    tap.end()
