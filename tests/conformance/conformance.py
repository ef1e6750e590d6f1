#!/usr/bin/env python3
"""conformance.py BUILD EXAMPLES C-EXAMPLE [WORD...]: what a program that does tasks can rely on, the same in every tier and of every example.

A point is one case in one tier; with words, only those whose name holds one of them. tiers.py says what there is, cases.py what must hold, work.py what the programs do. One node
for all of it; each tier has queues and pools of its own."""
import os, sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "../node")]
from cases import CASES
from desk import Desk, Wrong
from node import Node, Tap
from tiers import tiers

QUEUE = 'queue "%s" { max_attempts = 3  poison_after = 0  backoff_base = "10ms" }\n'


def run(tap, name, tier, fn, case, desk):
    why = tier.missing or tier.skips.get(case)
    if why:
        tap.skip(name, why)
        return
    try:
        fn(tier, desk)
        tap.point(True, name)
    except (Wrong, TimeoutError, RuntimeError, OSError, ValueError, LookupError) as e:
        tap.point(False, name, repr(e), desk.node.tail())
        desk.tool("cancel", "--queue", tier.name, "--all", "--yes")  # so that the next case finds it free


def main():
    build, examples, c_example = (os.path.abspath(a) for a in sys.argv[1:4])
    words = sys.argv[4:]
    every, tap = tiers(examples, c_example), Tap()
    here_now = [tier for tier in every if not tier.missing]
    node = Node(build, "".join(QUEUE % queue for tier in here_now for queue in tier.queues()), "".join(tier.pools() for tier in here_now))
    begun = []
    try:
        node.start()
        for tier in here_now:
            begun.append(tier)
            tier.start(node)
        for tier in every:
            for case, obeys, fn in CASES:
                name = "%s: %s" % (tier.name, case)
                if tier.obeys in obeys and (not words or any(word in name for word in words)):
                    run(tap, name, tier, fn, case, Desk(node))
    finally:
        for tier in begun:
            tier.stop()
        node.stop()
        node.remove()
    tap.end()


main()
