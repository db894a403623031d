"""What an answer of the theory looks like: a limit with its certificate, or the reason why there is
none.
"""
from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import above
from fastbias.checks.shown import Report, Shown, html, text, vector
from fastbias.data.rows import Rows
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CERTIFIED", "PAPER", "Asked", "Hypothesis", "Limit", "NoTheorem", "Proved", "Rate",
           "told_intercept"]

# A relative gap or residual at which an answer counts as certified: three digits over what exact
# algebra on float64 leaves.
CERTIFIED = 1e-10
PAPER = "Gunasekar, Lee, Soudry, Srebro (2018)"
SUPPORTS = 8          # support vectors whose numbers are printed


class Hypothesis(NamedTuple):
    """One hypothesis of a theorem: what it says, whether it holds (None: cannot be checked), and
    how we know.
    """

    statement: str
    holds: bool | None
    evidence: str


class Rate(NamedTuple):
    """How a quantity of a run should behave: like clock^slope, and towards a level where theory
    names one.

    ``quantity`` and ``clock`` ("t" or "log t") are names that `Trace.rates` knows.
    """

    quantity: str
    clock: str
    slope: float
    level: float = float("nan")


class Asked(NamedTuple):
    """What a limit is the answer to, in the numbers that were given: the w of largest least ⟨w, z⟩
    over rows z, or next to a start of those with ⟨w, z_n⟩ = goal_n; an intercept's columns are
    free.
    """

    claim: str                 # as the checker of proofs calls it
    rows: Rows
    norm: Norm | Potential
    goal: np.ndarray | None = None
    start: np.ndarray | None = None
    cone: bool = False         # of W ⪰ 0 alone


class Proved(Shown):
    """An answer that may have a proof over the rationals: `above.document` of it."""

    @property
    def rung(self) -> str:
        """How sure it is: "exact" where there is a `proof` with no gap at all, "enclosed" where it
        has one to 2⁻¹⁰⁰, else "float".
        """
        if isinstance(self._proved, str):
            return "float"
        return "exact" if self._gapless() else "enclosed"

    def _gapless(self) -> bool:
        """Whether its proof, where it has one, leaves no gap."""
        return False

    def _document(self) -> dict[str, Any]:
        """A copy of its proof; LookupError where it has none, and why."""
        if isinstance(self._proved, str):
            raise LookupError(self._proved)
        return deepcopy(self._proved)

    @cached_property
    def _proved(self) -> dict[str, Any] | str:
        """The document, or why there is none."""
        try:
            return above.document(self)
        except LookupError as error:
            return str(error)


@dataclass(frozen=True, eq=False, repr=False)
class Limit(Proved):
    """Where theory says a run goes, with proof.

    Parameters
    ----------
    w : (d,) or (m, n)
        The limit point, or the limit direction (unit in ``norm``).
    kind : "point", "direction" or "ray"
        A ray: on data that are separable in part, ``w`` is the direction in which a run grows, and
        ``offset`` where its part in ``span`` goes.
    theorem, source : str
        Which theorem, and where it stands.
    hypotheses : tuple of Hypothesis
        Each hypothesis with True, False or None (cannot be checked) and the evidence.
    certified : bool
        Whether the residuals, recomputed from w and the dual alone, are at most 1e-10.
    duality_gap : float
        The larger of the relative feasibility and stationarity residuals.
    dual : (N,), or (N, K) for K outputs
        ν with ∇ψ(w) − ∇ψ(w0) = Xᵀν; for margins λ ≥ 0 with Σλ = 1.
    margin : float
        NaN for a point.
    norm : Norm or None
        The norm in which a direction has length one.
    rates : tuple of Rate
        How fast theory says that a run approaches it, where it does.
    offset : array of w's shape, or None
        Of gradient descent on separable data: the limit of w(t) − ŵ log t, ŵ = w/margin, where it
        has one. Of a ray: the finite part v̄, the limit of the run's part in ``span``.
    span : (d, r) array, or None
        Of a ray: orthonormal columns that span S, the span of the rows that no direction of margins
        ≥ 0 makes strict; ``w`` is orthogonal to them.
    classes : (2,) or (K,) array, or None
        The labels as they were given, sorted: which is −1 and which +1, or the classes in order.
    names : tuple of str, or None
        What the entries of w's last axis are called, where the columns of X have names.
    intercept : float, or (K,) with K > 2 classes, or K outputs
        b, added to each prediction; 0.0 without.
    support : (k,) of int, or None
        Of a margin, the samples that have weight in `dual` (with classes, against any other class):
        its support vectors. Weights under 1e-9 of the largest are rounding.
    alpha : (N,), or (N (K − 1),) with K > 2 classes, or None
        Of an ℓ2 margin γ, the multipliers λ/γ² of min ½‖v‖² subject to margins of at least one,
        whose minimiser v = Σ α_n y_n x_n is w/γ; None where they leave float64.
    asked : Asked, or fb.relu.Widest, or None
        The problem that `proof` speaks of: a maximum margin, a minimum norm or a projection; or the
        network whose margin it is.

    Examples
    --------
    >>> import fastbias as fb
    >>> limit = fb.max_margin([[2, 1], [1, 3], [-1, -1]], [1, 1, -1])
    >>> limit.kind, limit.certified, limit.duality_gap <= 1e-10
    ('direction', True, True)
    >>> bool(abs(limit.dual.sum() - 1) < 1e-12)
    True
    """

    w: np.ndarray
    kind: str
    theorem: str
    source: str
    hypotheses: tuple[Hypothesis, ...]
    certified: bool
    duality_gap: float
    dual: np.ndarray
    margin: float = float("nan")
    norm: Norm | None = None
    rates: tuple[Rate, ...] = ()
    offset: np.ndarray | None = None
    classes: np.ndarray | None = None
    span: np.ndarray | None = None
    intercept: float | np.ndarray = 0.0
    support: np.ndarray | None = None
    alpha: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    asked: Asked | Proved | None = None

    def proof(self) -> dict[str, Any]:
        """Prove it over the rationals: a document that anybody can check, with `fb.proofs.check`
        or with a file of 150 lines that needs Python alone.

        Of maximum margins, minimum norms and projections: exactly in ℓ1, ℓ2, ℓ∞ and quadratic
        norms, and to 2⁻¹⁰⁰ in ℓp, spectral and nuclear norms, on the cone of W ⪰ 0, and in the
        entropy, hypentropy, power and cosh potentials.

        Returns
        -------
        dict of strings, lists of strings, and bool, as JSON holds them
            ``rows`` z as they were given (of labels y_n x_n, ones and labels beside them for an
            intercept), binary fractions; ``claim``; ``primal`` (of margins the w with Zw ≥ 1),
            ``dual`` and ``value``: γ, γ² where the norm is of squares, the least norm, or its
            square. Numbers are integers or fractions in lowest terms. In ℓ1 and ℓ∞, where several
            w may be best, ``primal`` may be another one than this. Of ψ = Σ|w|^p/p and other
            potentials ∇ψ(w) is ∇ψ(w0) + Zᵀν to 2⁻¹⁰³ of log w (ℓp), ∇ψ(w) (entropies) or w
            (cosh), ν = dual/value for margins; ``value`` is γ^p, or ⟨Zᵀν, w − w0⟩, which is
            ‖w‖^p in ℓp; ``matrix`` is p, or β; of matrices W it is factors L, R (m + n, m) of W
            (nuclear, cone) or Σ λ_n z_n/γ (spectral). Of networks of rectified units it is that of
            `fb.relu.Widest.proof`.

        Raises
        ------
        LookupError
            Where there is none, and why: of other norms and potentials, of several outputs, of more
            than 300 000 numbers, 250 rows that hold w, or 100 columns in a quadratic norm, of
            equations that hold to rounding alone, and where multipliers were not found in a
            hundred digits (entries of w that are 0 in ℓp, p > 2, or faces of no fixed rank, say).

        References
        ----------
        Dixon (1982) on the equations; Gordan (1873), Stiemke (1915) and linear duality.

        Examples
        --------
        >>> import fastbias as fb
        >>> document = fb.max_margin([[3, 1], [1, 2]], [1, -1]).proof()
        >>> document["value"], document["primal"], document["dual"]
        ('1', ['3/5', '-4/5'], ['2/5', '3/5'])
        >>> fb.proofs.check(document)
        True
        """
        return self._document()

    def _gapless(self) -> bool:
        if not isinstance(self.asked, Asked):
            return False
        norm = self.asked.norm
        return (getattr(norm, "ball", None) or norm.matrix) is not None

    def plot(self, X: ArrayLike | checks.Sparse | None = None, y: ArrayLike | None = None,
             ax: Axes | None = None) -> Axes:
        """Draw the largest entries; with the data of a direction, its support vectors.

        Parameters
        ----------
        X : (N, d) or (N, m, n), y : (N,) labels, optional
            Of two features the plane is drawn, with the line that parts it and the margin; of
            others each sample's margin.
        ax : matplotlib Axes, optional
            Where to draw; a new figure's where it is not given.

        Returns
        -------
        matplotlib Axes
        """
        return above.picture(self, X, y, ax)

    def _report(self) -> Report:
        proof = "certified" if self.certified else "NOT certified"
        lines: Report = vector(f"limit {self.kind}", self.w, self.names, self.classes)
        if self.kind == "ray" and self.offset is not None:
            lines += vector("finite part", self.offset, self.names, self.classes)
        lines += told_intercept(self.intercept)
        if self.norm is not None and np.isfinite(self.margin):
            lines.append(f"margin {self.margin:.12g} in the norm {self.norm.name}"
                         + _supported(self.support))
        return [*lines, f"by {self.theorem} [{self.source}]",
                f"{proof}, residual {self.duality_gap:.1e}", *checks.mapping(self.classes),
                *_listed(self.hypotheses)]


def _supported(support: np.ndarray | None) -> str:
    """How many samples decide a margin, and the first of them."""
    if support is None or not support.size:
        return ""
    first = ", ".join(map(str, support[:SUPPORTS].tolist()))
    left = f", … {support.size - SUPPORTS} more" if support.size > SUPPORTS else ""
    many = "s" if support.size > 1 else ""
    return f", on {support.size} support vector{many}: row{many} {first}{left}"


class NoTheorem(LookupError):  # noqa: N818 (the contract's name)
    """No theorem covers what was asked, or a hypothesis is known to be False.

    Parameters
    ----------
    reason : str
        Why: the example or proposition that shows it, and the nearest theorem that exists; where it
        is empty, the first hypothesis that is False.
    source : str
        Where that stands.
    hypotheses : tuple of Hypothesis
        Those that were looked at.
    dual : array, optional
        A certificate of the failure, where there is one.

    Examples
    --------
    >>> import fastbias as fb
    >>> plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.adagrad(0.1))
    >>> try:
    ...     plan.limit()
    ... except fb.NoTheorem as why:
    ...     print(why.source)
    Gunasekar, Lee, Soudry, Srebro (2018), §3.3
    """

    def __init__(self, reason: str, source: str = PAPER, hypotheses: tuple[Hypothesis, ...] = (),
                 dual: np.ndarray | None = None) -> None:
        failed = next((h for h in hypotheses if h.holds is False), None)
        if not reason and failed is not None:
            reason = f"what it asks is not so: {failed.statement} ({failed.evidence})"
        super().__init__(text(_refusal(reason, source, hypotheses)))
        self.reason, self.source, self.hypotheses, self.dual = reason, source, hypotheses, dual

    def __repr__(self) -> str:
        return f"{type(self).__name__}({checks.short(self.reason)})"

    def _repr_html_(self) -> str:
        return html(_refusal(self.reason, self.source, self.hypotheses))

    def __reduce__(self) -> tuple[type[NoTheorem], tuple[object, ...]]:
        return type(self), (self.reason, self.source, self.hypotheses, self.dual)


def told_intercept(b: float | np.ndarray) -> list[str]:
    """The line that says b; none without one."""
    if np.ndim(b) == 0:
        return [f"intercept b = {float(b)!r}"] if b else []
    return [f"intercepts b = {np.array2string(np.asarray(b), precision=12, threshold=12)}"]


def _refusal(reason: str, source: str, hypotheses: tuple[Hypothesis, ...]) -> Report:
    return [f"{reason} [{source}]", *_listed(hypotheses)]


def _listed(hypotheses: tuple[Hypothesis, ...]) -> list[str]:
    mark = {True: "yes", False: "NO", None: "open"}
    return [f"  [{mark[h.holds]:>4}] {h.statement}: {h.evidence}" for h in hypotheses]
