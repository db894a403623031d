"""What a theorem looks like as a row of a table, what the rows ask of a problem, and which pieces
may be believed.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from fastbias.pieces import losses
from fastbias.pieces.laws import trusted
from fastbias.pieces.losses import Loss
from fastbias.pieces.methods import Method
from fastbias.pieces.models import Model
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem
from fastbias.solvers.limit import PAPER, Hypothesis, Limit, NoTheorem, Rate

__all__ = ["Direction", "Point", "Ray", "Refusal", "Rest", "Row", "accepted", "another_tail",
           "covering", "disproved", "flowing", "gradient", "momentum", "named", "one_by_one",
           "quadratic", "shown", "steepest", "tailed"]


@dataclass(frozen=True)
class Row:
    """What all rows say: the name, the source, and whom it speaks of. A row is a `Point`, a
    `Rest`, a `Direction`, a `Ray` or a `Refusal`.

    Parameters
    ----------
    name, source : str
        The theorem or example, and where it stands.
    covers : (problem, flow) → bool
        Whether it speaks of this loss, model and what the method declares.
    reason : str
        What to tell the user where there is no theorem, or one of its hypotheses fails; names the
        nearest theorem.
    hypotheses : problem → rows, optional
        What it asks beyond what every theorem of its section asks.
    """

    name: str
    source: str
    covers: Callable[[Problem, bool], bool]
    _: KW_ONLY
    reason: str = ""
    hypotheses: Callable[[Problem], list[Hypothesis]] = field(default=lambda problem: [])


@dataclass(frozen=True, kw_only=True)
class Point(Row):
    """A theorem that names a limit point: the Bregman projection of the start (losses with a unique
    finite root).

    Parameters
    ----------
    potential : problem → Potential or None
        Its ψ; None where the theorem has none from this start.
    """

    potential: Callable[[Problem], Potential | None]


@dataclass(frozen=True, kw_only=True)
class Direction(Row):
    """A theorem that names a limit direction (strictly monotone losses).

    Parameters
    ----------
    norm : problem → Norm, optional
        The norm whose maximum margin it is; without one, all that is named is a stationary point,
        the margin over positive semidefinite matrices, or what ``solve`` finds.
    solve : problem → Limit, optional
        The direction, certified, where it is not the maximum margin in a norm.
    stationary : problem → Norm, optional
        The norm of parameters in which all that is named is a stationary point; of rows that name
        no norm at all it is l2.
    tail : "exponential", "gaussian" or "polynomial", default "exponential"
        How the losses that it speaks of fall.
    sole : bool, default False
        Whether it asks that the maximiser of the margin be unique.
    rates : problem → rates, optional
        How fast it says that a run gets there.
    asymptote : (problem, limit) → rows, point or None, rates, optional
        Whether w(t) − ŵ log t converges, where, and how fast it says that a run gets there.
    """

    norm: Callable[[Problem], Norm] | None = None
    solve: Callable[[Problem], Limit] | None = None
    stationary: Callable[[Problem], Norm] | None = None
    tail: str = "exponential"
    sole: bool = False
    rates: Callable[[Problem], tuple[Rate, ...]] = field(default=lambda problem: ())
    asymptote: Callable[[Problem, Limit],
                        tuple[list[Hypothesis], np.ndarray | None, tuple[Rate, ...]]] | None = None


@dataclass(frozen=True)
class Rest(Row):
    """A theorem that names the minimiser of what the method brings down, from any start."""


@dataclass(frozen=True)
class Ray(Row):
    """A theorem that names a limit direction, and the finite part beside it."""


@dataclass(frozen=True)
class Refusal(Row):
    """An example that shows that there is no theorem, or the sentence that says so."""


def covering(table: tuple[Row, ...], problem: Problem, flow: bool) -> Row:
    """The row of a table that decides: the first that covers a problem, or, where that is of
    another tail, of the loss's own.

    NoTheorem where none does: of what a method does not declare, nothing is known.
    """
    first = None
    for row in table:
        if not row.covers(problem, flow):
            continue
        first = first or row
        # no theorem is looked for behind a refusal
        if not isinstance(row, Direction):
            break
        # a row further down may be the one for this tail, though the first that covers is not
        if row.tail == problem.loss.tail:
            return row
    if first is None:
        raise NoTheorem(f"no row of the table speaks of what {problem.method!r} declares; the "
                        "nearest theorems are those for mirror descent (losses with a root) and "
                        "for steepest descent (strictly monotone ones)", PAPER)
    return first


TAILS = {"exponential": "an exponential tail", "gaussian": "a Gaussian tail",
         "polynomial": "a polynomial tail"}


def tailed(problem: Problem, row: Row | None = None) -> Hypothesis:
    """Whether the loss falls as a row asks; refusals are about exponential tails, too, and what
    stands in no table.
    """
    loss, tail = problem.loss, row.tail if isinstance(row, Direction) else "exponential"
    return Hypothesis(f"the loss has {TAILS[tail]}", loss.tail == tail,
                      f"{loss.name}: {loss.tail or 'unknown'}")


def another_tail(problem: Problem, row: Direction, rows: list[Hypothesis]) -> NoTheorem:
    """What is raised where it does not."""
    nearest = " and ".join([loss.name for loss in losses.EXAMPLES if loss.tail == row.tail][:2])
    return NoTheorem(f"{row.name} asks for {TAILS[row.tail]}, which the {problem.loss.name} loss "
                     f"has not; the nearest losses are {nearest}", row.source, tuple(rows))


def shown(enough: bool) -> bool | None:
    """True where what is sufficient is met; None where it is not, as nothing follows from that."""
    return True if enough else None


def disproved(rows: list[Hypothesis]) -> bool:
    """Whether one of the hypotheses is known to be False."""
    return any(row.holds is False for row in rows)


def quadratic(problem: Problem) -> bool:
    """Whether the method's geometry is that of an inner product."""
    g = problem.method.geometry
    return g is None or (isinstance(g, Potential) and g.quadratic) \
        or (isinstance(g, Norm) and g.matrix is not None)


def gradient(problem: Problem) -> bool:
    """Whether its moves are −∇L itself, perhaps with momentum, batches and weight decay, eqs. (2)
    and (3).
    """
    method = problem.method
    return method.steepest and method.geometry is None and not method.averages


def steepest(problem: Problem) -> bool:
    """Whether each move is of steepest descent in a norm, for the last gradient alone."""
    method = problem.method
    return method.steepest and isinstance(method.geometry, Norm) and not method.averages


def flowing(problem: Problem) -> bool:
    """Whether the flow η → 0 of the method is that of eq. (10), which mirror and natural gradient
    descent share.
    """
    method = problem.method
    return isinstance(method.geometry, Potential) and (method.dual or method.natural)


def momentum(problem: Problem) -> bool:
    """Whether a move goes on with the last one, or the gradient is taken ahead."""
    return bool(problem.method.beta.any() or problem.method.gamma.any())


def named(problem: Problem, *names: str) -> bool:
    """Whether the loss is the library's own of one of these names."""
    return any(problem.loss is getattr(losses, name) for name in names)


# --- what may be believed -------------------------------------------------------------------------

def accepted(problem: Problem) -> None:
    """Raise NoTheorem where the method is a user's own, or a loss, geometry or model of his breaks
    what it declares.
    """
    if not problem.method.as_made:
        raise NoTheorem(f"{problem.method.name!r} is a method of one's own, so no theorem is known "
                        "to speak of it, whatever it declares: it does not have the pieces, "
                        "geometry, numbers and state of one of fb.methods; the nearest is "
                        f"{_nearest(problem)}", PAPER)
    _as_it_is(problem)
    # a piece of the library is held to its laws by the tests, one of a user's own here, once
    for kind, piece in (("loss", problem.loss), ("geometry", problem.method.geometry),
                        ("model", problem.model)):
        broken = trusted(piece) if isinstance(piece, (Loss, Norm, Potential, Model)) else ""
        if broken:
            raise NoTheorem(f"the {kind} of one's own does not obey the laws that theorems rest "
                            f"on: {broken}; fb.laws.check says more, and the nearest that holds is "
                            f"a {kind} that obeys them", "fb.laws")


def _as_it_is(problem: Problem) -> None:
    """Raise NoTheorem where the method is handed another gradient than that of all samples, but for
    the batches of eq. (2).
    """
    method, clean = problem.method, "; the nearest is the same method without"
    sparse = not problem.model.linear and problem.loss.kind == "root"
    if method.sampling.label_noise or method.sampling.gradient_noise:
        known = " (of labels it makes diagonal networks sparser, HaoChen, Wei, Lee, Ma 2021, but " \
            "no limit is named)" if sparse and method.sampling.label_noise else ""
        raise NoTheorem(f"{method!r} moves by gradients with noise, and no row of the table speaks "
                        f"of these{known}{clean}", PAPER)
    if method.sampling.bits:
        raise NoTheorem(f"{method!r} rounds its parameters, and no row of the table speaks of "
                        "that: to the nearest of p bits a run of the exponential loss with a "
                        "constant step freezes near t = 2^p/‖w(t)‖, ‖·‖ in units of the vector of "
                        f"margin one{clean}", PAPER)
    if method.clip is not None:
        raise NoTheorem(f"{method!r} cuts its gradients, which no row of the table speaks "
                        f"of{clean}", PAPER)
    if method.within is not None:
        raise NoTheorem(f"{method!r} projects its parameters on a set, which no row of the table "
                        "speaks of: where w ∈ W is asked for the paper leaves the bias open (§5), "
                        "but for equations; the nearest are Theorem 1a, mirror descent with "
                        "constraint=(G, h), and the same method without", f"{PAPER}, §5")
    if method.point is not None:
        known = " (of single samples it makes diagonal networks sparser, Andriushchenko, " \
            "Flammarion 2022, but no limit is named)" if sparse else ""
        raise NoTheorem(f"{method!r} takes its gradients at other points than w, which no row of "
                        f"the table speaks of{known}{clean}", "Foret et al. (2021)")
    if not (method.stated or one_by_one(method)):
        raise NoTheorem(f"{method!r} moves by batches, of which the rows of the table speak for "
                        "gradient and mirror descent, drawn with or without replacement, and for "
                        "Adam and RMSProp with eps=0 and batch=1 (of Signum it is known from the "
                        "abstract of Baek, Song, Yun 2025 alone: in batches the linf maximum "
                        "margin still, for a momentum near 1); the nearest is the same method with "
                        "batch=None", PAPER)


def one_by_one(method: Method) -> bool:
    """Whether it is Adam or RMSProp without ε that sees one sample at a time, as it is."""
    return method.exact and method.moments is not None and method.moments[2] == 0 \
        and method.sampling.batch == 1 and method.sampling.replace in (0, 1) and not method.shrink


def _nearest(problem: Problem) -> str:
    """The method of the library that declares what one of a user's own does."""
    method = problem.method
    likeness = {"mirror_descent": method.dual, "natural_gradient": method.natural,
                "adam": method.adaptive,
                "dual_acceleration": method.averages == "all",
                "coordinate_descent": method.ties is not None,
                "gradient_descent": method.steepest and method.geometry is None}
    nearest = (name for name, like in likeness.items() if like)
    return f"fb.methods.{next(nearest, 'steepest_descent')}"
