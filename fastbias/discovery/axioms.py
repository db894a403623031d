"""Axioms of rational choice, asked of an optimiser: what is it a minimiser of, if of anything?

Whoever minimises one strictly convex function over the solutions of a problem cares for the set of
solutions alone, keeps the choice when solutions are taken away that were not chosen, and never
chooses in circles. An optimiser that does not is no minimiser of any such function, and two or
three small problems prove it.

>>> import fastbias as fb
>>> seen = fb.axioms.examine(fb.methods.gradient_descent(0.02))
>>> seen.holds["WARP"], type(seen).__name__
(True, 'Examination')
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.checks.shown import Report, Shown, Table
from fastbias.discovery.adversary import Base, contractions, drawn, fitted, mutated, twins
from fastbias.discovery.checking import check
from fastbias.discovery.choosing import Choice, Chooser, Optimiser
from fastbias.discovery.revealed import Relation, explained, refuted, related
from fastbias.pieces.losses import Loss

__all__ = ["Examination", "examine"]

AXIOMS = ("representation", "irrelevant alternatives", "WARP", "SARP", "Afriat")
BASES, ROUNDS = 8, 10          # problems that are drawn, and rounds of changing the worst
FEWER = 4, 4                   # of labels, whose runs go far
TRIES = 6                      # draws a problem that the optimiser may fail at
LEAST = 2                      # bases without which nothing is said
MOST = 48                      # choices in one linear program


@dataclass(frozen=True, eq=False, repr=False)
class Examination(Shown):
    """What an optimiser's choices satisfy.

    Parameters
    ----------
    holds : dict of str to bool
        For each axiom; False only with evidence, True where the search found no violation: that is
        no proof that there is none.
    moves : dict of str to float
        The largest move that the axiom forbids: ‖w − w'‖₂ of two choices (of directions, of length
        one). Of "Afriat", whether it is violated, as 0 or 1.
    resolution : dict of str to float
        What a move had to exceed to count: ten times what the runs were still away, as measured.
    proof : dict or None
        That no convex function explains these choices, or that one does, in fractions;
        `fastbias.discovery.checking.check` verifies it. None where neither could be made exact.
    problems : int
        How many problems the optimiser was asked.
    evidence : dict of str to pairs of (X, y, w)
        The problems and choices that move most.

    Examples
    --------
    >>> import fastbias as fb
    >>> seen = fb.axioms.examine(fb.methods.gradient_descent(0.02))
    >>> all(value is not False for value in seen.holds.values())
    True
    """

    holds: dict[str, bool]
    moves: dict[str, float]
    resolution: dict[str, float]
    proof: dict[str, Any] | None
    problems: int
    evidence: dict[str, tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]]

    def _report(self) -> Report:
        rows = [(axiom, "no violation found" if self.holds[axiom] else "violated",
                 f"{self.moves[axiom]:.2e}", f"{self.resolution[axiom]:.1e}") for axiom in AXIOMS]
        proof = "no exact proof" if self.proof is None else f"proof: {self.proof['kind']}"
        return [f"axioms of choice on {self.problems} problems:",
                Table(rows, ("axiom", "", "largest move", "resolution")), proof]


@dataclass
class _Hunt:
    """All that was asked so far."""

    chooser: Chooser
    rng: np.random.Generator
    asked: int = 0
    choices: list[Choice] = field(default_factory=list)
    pairs: dict[str, list[tuple[Choice, Choice]]] = field(default_factory=lambda: {
        "representation": [], "irrelevant alternatives": []})

    def choose(self, X: np.ndarray, y: np.ndarray, room: int = 0) -> Choice | None:
        """The choice, of a problem scaled so that steps of any usual size can take it."""
        self.asked += 1
        X, y = fitted(X, y, self.chooser.direction, room)
        return self.chooser(X, y)

    def ask(self, base: Base) -> dict[str, float] | None:
        """Examine a base and its twins; how far each axiom is violated, in units of doubt."""
        first = self.choose(base.X, base.y)
        if first is None:
            return None
        self.choices.append(first)
        scores = {}
        for axiom, others in (("representation", list(twins(base, self.rng))),
                              ("irrelevant alternatives",
                               list(contractions(base, first, self.rng)))):
            found = [(first, other) for X, y in others
                     if (other := self.choose(X, y)) is not None]
            self.choices += [other for _, other in found]
            self.pairs[axiom] += found
            scores[axiom] = max((a.distance(b) / a.doubt(b) for a, b in found), default=0.0)
        return scores


def examine(optimiser: Optimiser, loss: Loss | str = "squared",
            rng: int | np.random.Generator | None = 0) -> Examination:
    """Ask what an optimiser prefers: whether any convex function explains what it chooses.

    The solutions of (X, y) are {w : Xw = y} for a loss with a root, {w : y⟨w, x⟩ ≥ 1} for one of
    labels, where directions are compared. Problems of small integers are drawn, those that move
    most are changed entry by entry, and the optimiser is asked again about

    - "representation": other rows with the same solutions;
    - "irrelevant alternatives": a row more that the choice already meets (of labels: a point with
      three times the margin), which must not move it;
    - "WARP", "SARP": any two of all these choices, or a circle, each available where the next was
      made: the weak and the strong axiom of revealed preference;
    - "Afriat": a strictly convex function that explains all of them.

    A move counts from ten times what both runs were still away, which is measured over the last
    nine tenths of each, and if it is still there after ten times as many steps. Of a function that
    returns w itself nothing can be measured: 1e-6, relative, is taken for granted.

    Parameters
    ----------
    optimiser : Method, or callable
        A method of ``fb.methods``; or a function of (X (N, d), y (N,)) that returns a `Plan` which
        has not run yet, or w (d,) itself.
    loss : Loss or its name, default "squared"
        What a method minimises, and which sets are meant.
    rng : int, Generator or None, default 0
        Draws the problems.

    Returns
    -------
    Examination

    Raises
    ------
    ValueError
        Where the optimiser reaches the solutions of too few problems to say anything.
    TypeError
        Where it is none.

    Notes
    -----
    A choice among several minimisers of a norm that is not strictly convex, as ℓ∞ is, may turn with
    what it should not care for, and counts as a violation: there is no function that it is the only
    minimiser of. Of directions "Afriat" is violated only by a circle.

    Samuelson 1938 (WARP), Houthakker 1950 (SARP), Afriat 1967; what is known of methods is
    Gunasekar et al. 2018, Section 2.

    Examples
    --------
    >>> import fastbias as fb
    >>> fb.axioms.examine(fb.methods.gradient_descent(0.3)).holds["SARP"]
    True
    >>> seen = fb.axioms.examine(fb.methods.adagrad(0.3))
    >>> seen.holds["representation"], seen.proof["kind"]
    (False, 'no convex function explains these choices')
    """
    hunt = _Hunt(Chooser(optimiser, loss), checks.generator("rng", rng))
    _search(hunt)
    return _verdicts(hunt)


def _search(hunt: _Hunt) -> None:
    """Draw problems, and change those that move most."""
    bases, rounds = FEWER if hunt.chooser.direction else (BASES, ROUNDS)
    known: list[tuple[Base, dict[str, float]]] = []
    positive = False
    for i in range(bases * TRIES):
        base = drawn(hunt.rng, hunt.chooser.direction, positive)
        scores = hunt.ask(base)
        if scores is not None:
            known.append((base, scores))
        # a domain w > 0, perhaps
        elif not known and i >= 1:
            positive = True
        if len(known) == bases:
            break
    if len(known) < LEAST:
        raise ValueError("optimiser must reach solutions of small problems with ‖X‖₂ ≤ 1 within "
                         f"{hunt.chooser.steps:g} steps to be examined, got {len(known)} of "
                         f"{bases * TRIES}: try other steps")
    # a search uphill, turn by turn for either axiom
    for i in range(rounds):
        axiom = list(hunt.pairs)[i % len(hunt.pairs)]
        worst = max(known, key=lambda entry: entry[1][axiom])[0]
        base = mutated(hunt.rng, worst)
        scores = hunt.ask(base)
        if scores is not None:
            known.append((base, scores))


def _confirmed(hunt: _Hunt, a: Choice, b: Choice) -> bool:
    """Whether the move is there, after ten times the steps as after one: slow is not another."""
    if not a.unlike(b):
        return False
    later = [hunt.chooser(c.X, c.y, longer=10) for c in (a, b)]
    if later[0] is None or later[1] is None:
        return False
    x, z = later[0], later[1]
    return x.distance(z) > max(x.doubt(z), 0.8 * a.distance(b))


def _worst(hunt: _Hunt, pairs: Sequence[tuple[Choice, Choice]]) -> tuple[int, bool]:
    """The pair that moves most beyond doubt, and whether that stays; the largest move if none."""
    order = sorted(range(len(pairs)), key=lambda i: -pairs[i][0].distance(pairs[i][1]))
    beyond = [i for i in order if pairs[i][0].unlike(pairs[i][1])]
    # (ten times the steps are dear: a few are asked)
    for i in beyond[:3]:
        if _confirmed(hunt, *pairs[i]):
            return i, True
    return order[0], False


def _verdicts(hunt: _Hunt) -> Examination:
    """All axioms, of all choices."""
    holds, moves, resolution = {}, {}, {}
    evidence: dict[str, tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]] = {}
    for axiom, pairs in hunt.pairs.items():
        holds[axiom], moves[axiom], resolution[axiom] = True, 0.0, 0.0
        if pairs:
            i, stays = _worst(hunt, pairs)
            a, b = pairs[i]
            holds[axiom], moves[axiom] = not stays, a.distance(b)
            resolution[axiom] = a.doubt(b) if stays else max(x.doubt(z) for x, z in pairs)
            evidence[axiom] = ((a.X, a.y, a.w), (b.X, b.y, b.w))
    choices = _kept(hunt)
    relation = related(choices)
    circle: list[int] = []
    # (the last are circles of any length, which is what a proof is made of; two are one as well)
    for axiom, of_two in (("WARP", True), ("SARP", False)):
        found, moves[axiom] = _circle(hunt, choices, relation, of_two)
        circle = found or circle
        holds[axiom] = not circle
        resolution[axiom] = max(c.doubt(c) for c in choices)
        evidence[axiom] = tuple((choices[k].X, choices[k].y, choices[k].w) for k in circle)
    proof = _proof(choices, relation, circle)
    # a function that nobody found is not refuted, but by a circle
    holds["Afriat"] = not circle and (proof is None or proof["kind"].startswith("one"))
    moves["Afriat"], resolution["Afriat"] = float(not holds["Afriat"]), 0.0
    return Examination(holds, moves, resolution, proof, hunt.asked, evidence)


def _circle(hunt: _Hunt, choices: list[Choice], relation: Relation,
            of_two: bool) -> tuple[list[int], float]:
    """The worst circle, if it stays after ten times the steps, and the largest move."""
    circle, move = relation.cycle(of_two)
    if not circle:
        return [], _along(relation)
    # two that are on opposite sides of it
    a, b = choices[circle[0]], choices[circle[len(circle) // 2]]
    return (circle if _confirmed(hunt, a, b) else []), move


def _kept(hunt: _Hunt) -> list[Choice]:
    """The choices that enter the last axioms: those of the worst pairs, then the first."""
    pairs = [pair for found in hunt.pairs.values() for pair in found]
    pairs.sort(key=lambda pair: -pair[0].distance(pair[1]))
    kept = [c for pair in pairs[:6] for c in pair] + hunt.choices
    return list({id(c): c for c in kept}.values())[:MOST]


def _along(relation: Relation) -> float:
    """The largest distance of choices that were mutually available, though within doubt."""
    # (each with itself, at least)
    mutual = relation.over & relation.over.T
    return float(relation.apart[mutual].max())


def _proof(choices: list[Choice], relation: Relation, circle: list[int]) -> dict[str, Any] | None:
    """An exact proof of what is said of convex functions, after a check of our own."""
    document = refuted(choices, circle) if circle else explained(choices, relation)
    try:
        return document if document is not None and check(document) else None
    except ValueError:
        return None
