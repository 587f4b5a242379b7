"""A process begins and ends quickly: what is loaded stays, and nobody looks for cycles in it."""

import subprocess
import sys

MANY = 20_000
"""Objects; the program has several times as many when it is loaded."""


def printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_loading_the_program_hardly_looks_for_cycles_and_its_end_not_at_all_in_what_is_loaded() -> None:
    code = """
import atexit, gc, sys
from dp3.__main__ import main
before = gc.get_stats()[0]["collections"]
looked = lambda: gc.get_stats()[0]["collections"] - before
atexit.register(lambda: print(looked(), gc.get_freeze_count()))
sys.argv = ["dp3", "worker", "--help"]
main()
"""
    collections, kept = map(int, printed(code)[-1].split())
    assert collections < 20
    assert kept > MANY


def test_what_a_process_loads_before_it_serves_is_not_looked_through_but_what_comes_later_is() -> None:
    code = """
import gc, weakref
from dp3.runtime.interpreter import tune
class Node: pass
tune(0.005)
kept = gc.get_freeze_count()
node = Node()
node.itself, seen = node, weakref.ref(node)
del node
gc.collect()
print(kept, seen())
"""
    kept, seen = printed(code)[-1].split()
    assert int(kept) > 0
    assert seen == "None"
