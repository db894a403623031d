"""What every piece must obey. ``fb.laws.check(my_norm)`` holds a user's own piece to what ours are
held to.

The laws are the identities that the theory rests on: eq. (12) and Hölder's inequality for norms,
∇ψ⁻¹ ∘ ∇ψ = id and monotony for potentials, derivatives by differences for everything that claims to
be one; and what a piece declares of itself (a tail, a power, a horizon …), which `trusted` lets the
theory ask of a user's own pieces before it believes them.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from fastbias import checks
from fastbias.pieces import losses, models, norms, potentials, steps
from fastbias.pieces.losses import Loss
from fastbias.pieces.methods import Method
from fastbias.pieces.models import Model
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential

__all__ = ["FACES", "LAWS", "Law", "LawBroken", "Rows", "Trial", "above", "check", "demand", "ours",
           "trusted", "unlike",
           "vector"]

SHARP = 1e-10     # identities, relative
DIFFERENCE = 1e-5  # derivatives by central differences, relative
HORIZON = 2e-2    # shapes of level sets as far out as float64 reaches, relative
# sizes of predictions at which what a loss declares is looked at
FAR = (1.0, 1e4, 1e8, 1e16, 1e50, 1e100)
SAME = 1e-9       # and what they may keep of that, however far out
TAIL = np.array([30.0, 100.0, 300.0, 700.0])  # margins at which a tail is looked at
TAIL_FAR = 1e-3   # what an exponential tail may still change by between the last two


class Law(NamedTuple):
    """One law, the worst relative error seen over the random trials, and what is tolerated."""

    statement: str
    worst: float
    tolerance: float


class LawBroken(ValueError, AssertionError):  # noqa: N818 (it names the event)
    """A piece broke a law; the message says which, by how much, and where."""


def check(piece: Any, size: int | None = None, trials: int = 50, rng: Any = 0) -> tuple[Law, ...]:
    """Hold a norm, potential, loss, model, method or step rule to its laws on random vectors.

    Parameters
    ----------
    piece : Norm, Potential, Loss, Model, Method or StepRule
    size : int, optional
        Length of the vectors; by default the piece's own, else 5.
    trials : int, default 50
        How many random vectors, of scales from 1e-3 to 1e3.
    rng : seed or numpy Generator, default 0

    Returns
    -------
    tuple of Law
        Each law with the worst error seen.

    Raises
    ------
    LawBroken
        A ``ValueError`` (and ``AssertionError``) naming the law, the error and the vector.
    TypeError
        Where the piece is none of these.

    Examples
    --------
    >>> import fastbias as fb
    >>> for law in fb.laws.check(fb.norms.lp(4/3))[:2]:
    ...     print(law.statement)
    ⟨Δ, g⟩ = ‖g‖⋆²  (eq. 12)
    ‖Δ‖ = ‖g‖⋆  (eq. 12)
    """
    trials = checks.whole("trials", trials, least=1)
    own = _length(piece)
    size = (5 if own is None else own) if size is None else checks.whole("size", size, least=1)
    if own not in (None, size):
        raise ValueError(f"size must be {own}, the only length that {piece!r} takes, got {size}")
    trial = next((laws for kind, laws in LAWS.items() if isinstance(piece, kind)), None)
    if trial is None:
        raise TypeError("piece must be a Norm, Potential, Loss, Model, Method or StepRule, got "
                        f"{checks.short(piece)}")
    return _held(piece, (trial, *FACES), size, trials, checks.generator("rng", rng))


def _length(piece: Any) -> int | None:
    """The only length of vectors that a piece takes."""
    if isinstance(piece, Method):
        return _length(piece.geometry) if piece.constraint is None else piece.constraint[0].shape[1]
    return piece.length if isinstance(piece, Model) else getattr(piece, "size", None)


def ours(piece: Any) -> bool:
    """Whether a piece is the library's own, as made: what one of its factories returned, or one of
    its constants.
    """
    return hasattr(piece,
                   "recipe") or any(piece is example
                                    for module in (norms, potentials, losses, models, steps)
                                           for example in module.EXAMPLES)


_BROKEN: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def trusted(piece: Norm | Potential | Loss | Model) -> str:
    """Empty for a piece that may be believed, else the sentence that says which of its laws it
    breaks.

    The library's own are (the tests hold them to their laws); those of a user are held to all but
    their convex face, once.
    """
    if ours(piece):
        return ""
    if piece not in _BROKEN:
        trial = next(laws for kind, laws in LAWS.items() if isinstance(piece, kind))
        own = _length(piece)
        _BROKEN[piece] = ""
        try:
            with np.errstate(all="ignore"):
                _held(piece, (trial,), 5 if own is None else own, 3, np.random.default_rng(0))
        except LawBroken as broken:
            _BROKEN[piece] = str(broken)
    return _BROKEN[piece]


def demand(label: str, piece: Norm | Potential | Loss) -> None:
    """Raise ValueError where a piece of the user's own breaks a law; see `trusted`."""
    broken = trusted(piece)
    if broken:
        raise ValueError(f"{label} must obey its laws (fb.laws.check), but {broken}")


def _held(piece: Any, kinds: tuple[Trial, ...], size: int, trials: int,
          rng: np.random.Generator) -> tuple[Law, ...]:
    """Each law of these kinds with its worst error; LawBroken at the first that is broken."""
    seen: dict[str, Law] = {}
    for _ in range(trials):
        try:
            for statement, error, tolerance, \
                where in (row for kind in kinds for row in kind(piece, rng, size)):
                if not error <= tolerance:
                    raise LawBroken(f"{piece!r} breaks the law {statement}: relative error "
                                    f"{error:.3g}, tolerated {tolerance:g}, at {where}")
                if statement not in seen or error > seen[statement].worst:
                    seen[statement] = Law(statement, error, tolerance)
        except LawBroken:
            raise
        except ValueError as refusal:
            raise LawBroken(f"{piece!r} breaks the law that its maps stay inside its domain: "
                            f"{refusal}") from None
    return tuple(seen.values())


Rows = Iterator[tuple[str, float, float, Any]]
"""Statements of laws, each with its relative error, what of it is tolerated, and where it was
seen.
"""

Trial = Callable[[Any, np.random.Generator, int], Rows]
"""What tries the laws of a kind of piece at random vectors of a size."""

LAWS: dict[type, Trial] = {}
"""The laws of each kind of piece; a kind whose laws need more than a piece's floor knows joins from
there.
"""

FACES: list[Trial] = []
"""What `check` tries of all pieces beside their laws, and `trusted`, which is asked at every turn,
does not.
"""



def unlike(a: Any, b: Any, scale: float = 0.0) -> float:
    """Relative difference of two numbers or vectors (NaN counts as infinite)."""
    a, b = np.atleast_1d(np.asarray(a, float)), np.atleast_1d(np.asarray(b, float))
    size = max(float(np.abs(a).max()), float(np.abs(b).max()), scale)
    error = float(np.abs(a - b).max()) / size if size > 0 else 0.0
    return error if np.isfinite(error) else np.inf


def above(a: float, b: float) -> float:
    """By how much a ≤ b fails, relatively."""
    return max(0.0, (a - b) / max(abs(a), abs(b), 1e-300)) if np.isfinite(a) and np.isfinite(b) \
        else np.inf


def vector(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random vector of a random scale."""
    return np.asarray(rng.normal(size=size) * 10 ** rng.uniform(-3, 3))
