"""What a theorem looks like as a row of a table, what the rows ask of a problem, and which pieces may be believed."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np

from fastbias.engine.abi import Piece
from fastbias.pieces import losses, methods, norms
from fastbias.pieces.laws import trusted
from fastbias.pieces.losses import Loss
from fastbias.pieces.methods import Method
from fastbias.pieces.methods.sampling import Sampling
from fastbias.pieces.models import Model
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import Problem
from fastbias.solvers.limit import PAPER, Hypothesis, Limit, NoTheorem, Rate

__all__ = ["Row", "accepted", "family", "known_link", "maker", "named", "quadratic"]


@dataclass(frozen=True)
class Row:
    """One theorem, or one example that shows that there is none.

    Parameters
    ----------
    name, source : str
        The theorem or example, and where it stands.
    covers : (problem, flow) → bool
        Whether it speaks of this loss class, method and model.
    potential : problem → Potential, optional
        The ψ whose Bregman projection of the start is the limit (losses with a unique finite root).
    norm : problem → Norm, optional
        The norm whose maximum margin is the limit direction (strictly monotone losses).
    reason : str
        With neither, or where a hypothesis fails: what to tell the user.
    hypotheses : problem → rows, optional
        What it asks beyond what every theorem of its section asks.
    sole : bool, default False
        Whether it asks that the maximiser of the margin be unique.
    rates : problem → rates, optional
        How fast it says that a run gets there.
    asymptote : (problem, limit) → rows, point or None, rates, optional
        Whether w(t) − ŵ log t converges, where, and how fast it says that a run gets there.
    """

    name: str
    source: str
    covers: Callable[[Problem, bool], bool]
    potential: Callable[[Problem], Potential] | None = None
    norm: Callable[[Problem], Norm] | None = None
    reason: str = ""
    hypotheses: Callable[[Problem], list[Hypothesis]] = field(default=lambda problem: [])
    sole: bool = False
    rates: Callable[[Problem], tuple[Rate, ...]] = field(default=lambda problem: ())
    asymptote: Callable[[Problem, Limit], tuple[list[Hypothesis], np.ndarray | None, tuple[Rate, ...]]] | None = None


def quadratic(problem: Problem) -> bool:
    """Whether the method's geometry is that of an inner product."""
    g = problem.method.geometry
    return g is None or (isinstance(g, Potential) and g.quadratic) or (isinstance(g, Norm) and g.matrix is not None)


def known_link(problem: Problem) -> bool:
    """Whether the method's geometry is a potential."""
    return isinstance(problem.method.geometry, Potential)


def named(problem: Problem, *names: str) -> bool:
    """Whether the loss is the library's own of one of these names."""
    return any(problem.loss is getattr(losses, name) for name in names)


# --- which method it is ----------------------------------------------------------------------------------------------

_MADE = (methods.gradient_descent(1.0), methods.gradient_descent(1.0, weight_decay=1.0),
         methods.mirror_descent("euclidean", 1.0), methods.mirror_descent("euclidean", 1.0, primal_momentum=0.5),
         methods.mirror_descent("euclidean", 1.0, constraint=([[1.0]], [1.0])), methods.natural_gradient("euclidean", 1.0),
         methods.steepest_descent("l2", 1.0), methods.steepest_descent("l2", 1.0, normalised=True),
         methods.coordinate_descent(1.0), methods.adagrad(1.0), methods.adam(1.0), methods.sign_descent(1.0),
         methods.muon(1.0), methods.dual_acceleration())
_BY_PIECES = {(made.direction, made.advance): made for made in _MADE}
_MAKERS: WeakKeyDictionary[Problem, str] = WeakKeyDictionary()
GEOMETRIES = {"mirror": (Potential,), "natural": (Potential, Piece), "steepest": (Norm,), "coordinate": (Norm,)}


def maker(problem: Problem) -> str:
    """The function of `fastbias.pieces.methods` whose method this is ("adam" for RMSProp, too), "" for one of a user's own.

    What a method calls itself counts for nothing: it is recognised by its compiled pieces, and by the geometry, numbers and
    state that these go with in the library.
    """
    if problem not in _MAKERS:
        made = _BY_PIECES.get((problem.method.direction, problem.method.advance))
        _MAKERS[problem] = made.name if made is not None and _as_made(problem, made) else ""
    return _MAKERS[problem]


def family(problem: Problem) -> str:
    """The family of a method of the library ("gradient", "mirror" …), "" for one of a user's own."""
    return problem.method.family if maker(problem) else ""


def _as_made(problem: Problem, made: Method) -> bool:
    """Whether all else of the method is as the library puts it together with these pieces."""
    method, g, params = problem.method, problem.method.geometry, problem.method.params
    kinds = GEOMETRIES.get(made.family, ())
    unscaled = bool(params.size == 5 and params[4]) if made.family == "coordinate" else made.unscaled
    if method.family != made.family or method.unscaled != unscaled or method.primal != made.primal \
            or not (isinstance(g, kinds) if kinds else g is None) or type(method.sampling) is not Sampling:
        return False
    if (made.family == "coordinate" and g is not norms.l1) or (made.name == "sign_descent" and g is not norms.linf):
        return False
    if (method.beta.any() or method.gamma.any() or method.sampling.batch) and made.family not in ("gradient", "mirror"):
        return False
    if (method.constraint is None) != (made.constraint is None) or (method.measured is None) != (made.measured is None):
        return False
    if bool(method.decay) != bool(made.decay) or not all(np.isfinite(x).all() and (x >= 0).all()
                                                         for x in (method.beta, method.gamma)):
        return False
    return _numbered(method, made) and _begun(problem, made)


def _numbered(method: Method, made: Method) -> bool:
    """Whether the numbers of a method are such as its maker admits."""
    x = method.params
    if made.decay:
        return bool(x.size >= 2 and x[0] == method.decay and x[0] > 0)
    if made.constraint is not None:
        assert method.constraint is not None
        Q, c = method.constraint
        return bool(np.array_equal(x, np.concatenate([[float(len(Q))], Q.ravel(), c])))
    if x.size != made.params.size or not np.isfinite(x).all():
        return False
    if made.family == "coordinate":
        return bool(0 <= x[0] < 1 and x[1] in (0, 1, 2) and 0 < x[2] <= 1)
    if made.name == "adam":
        return bool(0 <= x[0] < 1 and 0 <= x[1] < 1 and x[2] >= 0)
    return made.name != "muon" or bool(0 <= x[0] < 1)


def _begun(problem: Problem, made: Method) -> bool:
    """Whether the rows of state that a method begins with are those of its maker."""
    method, u = problem.method, problem.start
    try:
        rows = np.asarray(method.begin(u), float)
    except Exception:                                        # a user's own function may raise anything; then it is not ours
        return False
    if made.name == "adagrad":
        assert method.measured is not None
        G = np.array([[1.0, 4.0]])
        known = method.measured(G).matrix
        return bool(rows.shape == (1, u.size) and (rows >= 0).all() and known is not None
                    and np.allclose(known(2), np.diag(np.sqrt(G[0] + method.params[0]))))
    wanted = made.begin(u) if made.family != "mirror" else np.zeros_like(rows)
    if made.family == "mirror" and rows.size:
        wanted[0] = method.geometry.to_dual(u)  # type: ignore[union-attr]
    return rows.shape == wanted.shape and np.array_equal(rows, wanted)


# --- what may be believed ----------------------------------------------------------------------------------------------

def accepted(problem: Problem) -> None:
    """Raise NoTheorem where the method is a user's own, or a loss or geometry of his breaks what it declares."""
    if not maker(problem):
        raise NoTheorem(f"{problem.method.name!r} is a method of one's own, so no theorem is known to speak of it, whatever "
                        f"family it declares: it does not have the pieces, geometry, numbers and state of one of "
                        f"fb.methods; the nearest is {_nearest(problem)}", PAPER)
    for kind, piece in (("loss", problem.loss), ("geometry", problem.method.geometry), ("model", problem.model)):
        broken = trusted(piece) if isinstance(piece, (Loss, Norm, Potential, Model)) else ""
        if broken:
            raise NoTheorem(f"the {kind} of one's own does not obey the laws that theorems rest on: {broken}; "
                            f"fb.laws.check says more, and the nearest that holds is a {kind} that obeys them", "fb.laws")


def _nearest(problem: Problem) -> str:
    likeness = {"gradient": "gradient_descent", "mirror": "mirror_descent", "natural": "natural_gradient",
                "coordinate": "coordinate_descent", "adaptive": "adam", "accelerated": "dual_acceleration"}
    return f"fb.methods.{likeness.get(problem.method.family, 'steepest_descent')}"
