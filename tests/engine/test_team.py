"""What several threads agree on over a board, in every order that a scheduler may think of.

The functions of `fastbias.engine.team` and `passes.take` are read as they stand and made generators that stop at each look
at the board: so the test is the scheduler, and a thread that is never let on again has died.
"""
import ast
import inspect
import random
import textwrap

import numpy as np
import pytest

from fastbias.engine import passes, team

LOOKS = {"seen", "put", "drawn"}                                         # one step each, for which all others may come first
NAMES = ("claimed", "opened", "finished", "settled", "waited")
CELLS = {name: value for name, value in vars(team).items() if isinstance(value, int)}


class Stepwise(ast.NodeTransformer):
    """Calls of the above yield, and so does what calls them."""

    def visit_Call(self, node):
        self.generic_visit(node)
        name = getattr(node.func, "id", "")
        if name in LOOKS:
            return ast.Yield(ast.Tuple([ast.Constant(name), *node.args], ast.Load()))
        return ast.YieldFrom(node) if name in NAMES or name == "_rested" else node


def stepwise(function, extra=""):
    tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(function, "py_func", function))))
    tree.body[0].decorator_list = []
    return ast.unparse(ast.fix_missing_locations(Stepwise().visit(tree)))


SOURCE = "\n".join(stepwise(getattr(team, name)) for name in NAMES) + """
def _rested(board, turns):
    yield ("rest",)
def leader(board, slabs, passes, did):
    for k in range(passes):
        yield from opened(board, k, 0.0, w, w, w, w)
        i = yield from claimed(board, slabs, 0)
        while i >= 0:
            did.append((board[KIND], k, i))
            yield from finished(board, False)
            i = yield from claimed(board, slabs, 0)
        yield from settled(board, slabs)
        did.append(("ended", k))
def helper(board, slabs, me, did, at_work):
    last = 0
    while True:
        last = yield from waited(board, last)
        if last < 0:
            return
        i = yield from claimed(board, slabs, me)
        while i >= 0:
            at_work.add(me)
            yield ("rest",)                                              # the pass may look quite different now
            did.append((board[KIND], None, i))
            yield ("rest",)
            yield from finished(board, False)
            at_work.discard(me)
            i = yield from claimed(board, slabs, me)
"""


def look(board, asked):
    kind, *args = asked
    if kind == "rest":
        return None
    place = args[1]
    before = int(board[place])
    if kind == "put":
        board[place] = args[2]
    elif kind == "drawn":
        board[place] += 1
    return before


def play(members, slabs, count, seed, mortal):
    """Whoever a seed names makes a step, until the leader is done; ``mortal``: helpers may stop for good between slabs."""
    rng, board, did, at_work = random.Random(seed), np.zeros(team.BOARD + team.LINE * members, np.int64), [], set()
    drew = set()                                                         # a ticket, and have not looked at it yet
    space = CELLS | {"place_of": lambda a: 0, "w": np.zeros(8), "PATIENCE": 10**9}
    exec(SOURCE, space)
    crowd = {0: space["leader"](board, slabs, count, did)}
    crowd |= {me: space["helper"](board, slabs, me, did, at_work) for me in range(1, members)}
    answers = dict.fromkeys(crowd)
    favourite, steps = 0, 0
    while 0 in crowd:
        steps += 1
        assert steps < 50_000, "nobody gets on"
        if rng.random() < 0.2:                                           # runs of steps, as cores have them
            favourite = rng.choice(list(crowd))
        who = favourite if favourite in crowd else 0
        if mortal and who and who not in at_work | drew and rng.random() < 0.02:
            del crowd[who]
            continue
        try:
            asked = crowd[who].send(answers[who])
            (drew.add if asked[0] == "drawn" else drew.discard)(who)
            answers[who] = look(board, asked)
        except StopIteration:
            del crowd[who]
    return did


@pytest.mark.parametrize("mortal", [False, True])
@pytest.mark.parametrize(("members", "slabs"), [(2, 2), (2, 3), (3, 8), (8, 8), (5, 4)])
def test_every_slab_is_done_once_in_its_own_pass_and_nobody_waits_for_ever(members, slabs, mortal):
    for seed in range(25):
        did, passes_done, here = play(members, slabs, 6, seed, mortal), 0, []
        for entry in did:
            if entry[0] == "ended":
                assert sorted(here) == list(range(slabs)), (seed, entry)
                assert entry[1] == passes_done
                passes_done, here = passes_done + 1, []
            else:
                assert entry[0] == passes_done, (seed, entry)            # the pass that is on the board is the one it is for
                here.append(entry[2])
        assert passes_done == 6


def test_the_test_above_sees_tickets_that_are_given_out_too_early(monkeypatch):
    early = SOURCE.replace("yield ('put', board, DONE, 0)\n", "pass\n")
    assert early != SOURCE
    monkeypatch.setitem(globals(), "SOURCE", early)
    with pytest.raises(AssertionError):
        test_every_slab_is_done_once_in_its_own_pass_and_nobody_waits_for_ever(3, 8, False)


def test_a_helper_whom_nobody_leads_goes_by_itself():
    space = CELLS | {"PATIENCE": 50}
    exec(SOURCE, space)
    board = np.zeros(team.BOARD + 2 * team.LINE, np.int64)
    waiting, answer = space["waited"](board, 0), None
    with pytest.raises(StopIteration) as end:
        for _ in range(10 * (space["PAUSES"] + 50)):
            answer = look(board, waiting.send(answer))
    assert end.value.value == -1


def test_what_takes_slabs_reads_what_to_do_after_it_has_one():
    """`play` has its own leader and helper: that `passes.take` keeps to their order is read off it."""
    text = inspect.getsource(getattr(passes.take, "py_func", passes.take))
    loop = text[text.index("while i >= 0"):]
    order = [loop.index(word) for word in ("board[KIND]", "board[W_AT]", "board[G_AT]", "finished(", "claimed(")]
    assert order == sorted(order)
    before = text[:text.index("while i >= 0")]
    assert not any(word in before for word in ("KIND", "W_AT", "P_AT", "Q_AT", "G_AT", "SHIFT_AT"))
