"""What several threads agree on over a board, in every order that a scheduler may think of.

The functions of `fastbias.engine.team` and those of `passes` that lead and help are read as they stand, and made generators
that stop at each look at the board: so the test is the scheduler, and a thread that is never let on again has died. What they
do with a slab is replaced by notes of what they saw.
"""
import ast
import inspect
import random
import textwrap

import numpy as np
import pytest

from fastbias.engine import passes, team

LOOKS = {"seen", "put", "drawn", "swapped"}                              # one step each, for which all others may come first
OURS = ("claimed", "closed", "opened", "settled", "waited")
STOPS = {*OURS, "_rested", "_slab", "_in_place", "_copied"}
CELLS = {name: value for name, value in vars(team).items() if isinstance(value, int)}


class Stepwise(ast.NodeTransformer):
    """Calls of the above yield, and so does what calls them, and what writes to the board."""

    def visit_Call(self, node):
        self.generic_visit(node)
        name = getattr(node.func, "id", "")
        if name in LOOKS:
            return ast.Yield(ast.Tuple([ast.Constant(name), *node.args], ast.Load()))
        return ast.YieldFrom(node) if name in STOPS else node

    def visit_Assign(self, node):
        self.generic_visit(node)
        return [node, ast.parse("yield ('rest',)").body[0]] if "board[" in ast.unparse(node.targets[0]) else node

    def visit_AugAssign(self, node):                                     # `x |= yield from …` reads x too early
        self.generic_visit(node)
        value = ast.unparse(node.value)
        return [ast.parse(f"_got = {value}").body[0], ast.parse(f"{ast.unparse(node.target)} |= _got").body[0]] \
            if "yield" in value else node


def stepwise(function):
    tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(function, "py_func", function))))
    tree.body[0].decorator_list = []
    return ast.unparse(ast.fix_missing_locations(Stepwise().visit(tree)))


SOURCE = "\n".join(stepwise(getattr(module, name)) for module, names in ((team, OURS), (passes, ("_lead", "assist")))
                   for name in names) + """
def _rested(board, turns):
    yield ("rest",)
def _common(board):
    return data, None, None
def _slab(board, data, params, control, i, own):
    kind = board[KIND]
    yield ("rest",)
    where = board[W_AT]
    yield ("rest",)
    return (kind, where, world["w"], i), False
def _in_place(board, data, params, control, i):
    s, cut = yield from _slab(board, data, params, control, i, None)
    world["made"].append((i, s))
    return cut
def _copied(board, data, i, s, p, g):
    yield ("rest",)
    world["made"].append((i, s))
def leader(board, passes):
    for k in range(passes):
        yield ("rest",)
        world["w"] = k                                                   # an update moves w, whoever may still read it
        number = yield from opened(board, k, 0.0, k, 0, 0, EMPTY)
        yield from _lead(board, number)
        world["passes"].append(world["made"])
        world["made"] = []
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
    elif kind == "swapped":
        if before == args[2]:
            board[place] = args[3]
        return before == args[2]
    return before


def play(members, slabs, count, seed, source=SOURCE, mortal=False):
    """What was made in each pass, where a seed names who makes a step; ``mortal``: helpers stop for good, but while they copy."""
    rng, board = random.Random(seed), np.zeros(team.BOARD + team.LINE * members, np.int64)
    board[team.TURNS] = rng.choice((0, 3, 30))
    world = {"w": None, "made": [], "passes": []}
    space = CELLS | {"place_of": lambda a: a if isinstance(a, int) else 0, "world": world, "PATIENCE": 10**9,
                     "EMPTY": np.zeros(0), "steady": lambda: None, "Vectors": lambda *a: None, "data": type("Data", (), {"slabs": slabs})}
    exec(source, space)
    crowd = {0: space["leader"](board, count)} | {me: space["assist"](board, me, None, None, None) for me in range(1, members)}
    answers, copying = dict.fromkeys(crowd), set()
    favourite = steps = 0
    while 0 in crowd:
        steps += 1
        assert steps < 50_000, "nobody gets on"
        if rng.random() < 0.2:                                           # runs of steps, as cores have them
            favourite = rng.choice(list(crowd))
        who = favourite if favourite in crowd else 0
        if mortal and who and who not in copying and rng.random() < 0.05:
            del crowd[who]
            continue
        try:
            asked = crowd[who].send(answers[who])
        except StopIteration:
            del crowd[who]
            continue
        answers[who] = look(board, asked)
        if asked[0] == "swapped" and answers[who]:
            copying.add(who)
        elif asked[0] == "drawn" and asked[2] == team.DONE:
            copying.discard(who)
    return world["passes"]


def check(members, slabs, count=6, seeds=25, **options):
    for seed in range(seeds):
        for k, made in enumerate(play(members, slabs, count, seed, **options)):
            assert sorted(made) == [(i, (k, k, k, i)) for i in range(slabs)], (seed, k)


@pytest.mark.parametrize("mortal", [False, True])
@pytest.mark.parametrize(("members", "slabs"), [(1, 2), (2, 2), (2, 4), (3, 8), (8, 8), (5, 4)])
def test_every_slab_is_done_once_in_its_own_pass_and_nobody_waits_for_ever(members, slabs, mortal):
    check(members, slabs, mortal=mortal)


FAULTS = {
    "the number is written first": (
        "    board[KIND], board[SHIFT_AT] = (kind, int(k0))\n",
        "    yield ('put', board, NUMBER, number)\n    board[KIND], board[SHIFT_AT] = (kind, int(k0))\n"),
    "the number is read last": ("            number = (yield ('seen', board, NUMBER))\n", ""),
    "nobody looks who closes": ("if not cut and (yield from closed(board, i, number)):", "if not cut:"),
    "the count of before stands": ("    yield ('put', board, DONE, 0)\n", ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_test_above_sees(fault):
    right, wrong = FAULTS[fault]
    source = SOURCE.replace(right, wrong)
    assert source != SOURCE
    if fault == "the number is read last":
        source = source.replace("            if not cut and", "            number = (yield ('seen', board, NUMBER))\n            if not cut and")
    with pytest.raises(AssertionError):
        check(3, 8, seeds=200, source=source)


def test_a_helper_whom_nobody_leads_goes_by_itself():
    space = CELLS | {"PATIENCE": 50}
    exec(SOURCE, space)
    board = np.zeros(team.BOARD + 2 * team.LINE, np.int64)
    waiting, answer = space["waited"](board, 0), None
    with pytest.raises(StopIteration) as end:
        for _ in range(10 * (space["PAUSES"] + 50)):
            answer = look(board, waiting.send(answer))
    assert end.value.value == -1


def test_a_slab_that_is_copied_can_be_waited_for_and_nothing_else_is():
    """`settled` without patience is asked behind a loop in which the leader has closed all that was open."""
    text = inspect.getsource(getattr(passes._lead, "py_func", passes._lead))
    assert text.index("for i in range(data.slabs)") < text.index("own, -1)")
    assert text.count("-1)") == 1
