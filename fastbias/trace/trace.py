"""A trace: the rows a run wrote down, how it ended, and arithmetic on them."""
from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastbias import checks
from fastbias.checks import Sparse, above
from fastbias.checks.columns import entries
from fastbias.checks.shown import Report, Shown
from fastbias.checks.sizes import lengths
from fastbias.engine.abi import MESSAGES, Status
from fastbias.pieces import norms
from fastbias.pieces.losses import Loss
from fastbias.pieces.norms import Norm
from fastbias.problem import Data, Problem, gather
from fastbias.solvers.limit import Limit
from fastbias.trace import rates, storing
from fastbias.trace.diagnostics import Diagnostics
from fastbias.trace.elsewhere import Evaluation, evaluation, guessed
from fastbias.trace.rates import LAST, Rates, Series

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.axes import Axes


__all__ = ["Evaluation", "RunStopped", "Series", "Trace"]


@dataclass(frozen=True, eq=False, repr=False)
class Trace(Diagnostics, Shown):
    """What a run wrote down: K rows of time, parameters and log loss, first and last step included.

    Parameters
    ----------
    t : (K,) int64
        Updates done at each row (for a flow: float64, the time).
    u : (K, n) float64
        The parameters.
    w : (K, d), (K, m, n) or, of C classes or outputs, (K, C, d) float64
        The linear predictor F(u); the parameters themselves for the linear model.
    log_loss : (K,) float64
        log L, the logarithm of the sum over the samples; −inf where L is exactly 0.
    status : Status
        How it ended.
    message : str
        The same in words, with the step.
    error_estimate : (K,) float64 or None
        Of a fast-forward: a bound on max_j |w_j − exact|.
    slack : (K, N) float64 or None
        Of a fast-forward: log t − m_n, which keeps its digits where w does not.
    averages : (K, n) float64 or None
        Of a method with ``average=``: the mean of the parameters at each row; see `averaged`.
    least : (K,) float64 or None
        Of a run with ``record_w=False``: the least margin y_n⟨w, x_n⟩ (of classes: ⟨w_y − w_c,
        x_n⟩) at each row; ``u`` and ``w`` then have two rows, the first and the last.
    kept_names : tuple of str or None, kept_classes : (C,) array or None
        Of a trace without its data, as from a file: what ``names`` and ``classes`` were.
    """

    t: np.ndarray
    u: np.ndarray
    w: np.ndarray
    log_loss: np.ndarray
    status: Status = Status.OK
    message: str = MESSAGES[Status.OK]
    problem: Data | None = None
    error_estimate: np.ndarray | None = None
    log_times: np.ndarray | None = None
    slack: np.ndarray | None = None
    least: np.ndarray | None = None
    kept_names: tuple[str, ...] | None = None
    kept_classes: np.ndarray | None = None
    averages: np.ndarray | None = None

    @cached_property
    def log_t(self) -> np.ndarray:
        """(K,) natural logarithm of t; −inf at t = 0."""
        if self.log_times is not None:
            return self.log_times
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.t))

    def __len__(self) -> int:
        return int(self.t.size)

    @property
    def _flat(self) -> np.ndarray:
        """The predictors as vectors (K, d), also of no rows."""
        self._demand_w("predictors as vectors")
        return self.w.reshape(len(self), int(np.prod(self.w.shape[1:])))

    @property
    def classes(self) -> np.ndarray | None:
        """The labels as they were given, sorted: −1 and +1, or the classes; None for numbers."""
        return self.kept_classes if self.problem is None else self.problem.classes

    @property
    def names(self) -> tuple[str, ...] | None:
        """What the entries of w's last axis are called; None where columns had no names."""
        return self.kept_names if self.problem is None else self.problem.names

    @property
    def called(self) -> list[str] | None:
        """What each entry of w is called, flat, with its class where there are classes; None where
        columns had no names.
        """
        return entries(self.names, self.w.shape[1:], self.classes)

    @property
    def intercept(self) -> np.ndarray:
        """The weights of the column of ones at each row, (K,), or (K, C) for C classes or outputs;
        zeros where the run had none.
        """
        self._demand_w("intercepts")
        last = self.w[..., -1]
        return np.array(last) if self._data("an intercept").intercept else np.zeros_like(last)

    def gap(self, limit: Limit | ArrayLike) -> np.ndarray:
        """Distance to a limit at each row.

        Parameters
        ----------
        limit : Limit or array of the predictor's shape
            What ``plan.limit()`` returned, or a point.

        Returns
        -------
        (K,) float64
            ‖w − w∞‖₂ for a point; for a direction or a ray, the distance of the ℓ2-unit directions
            (NaN where w = 0).

        Raises
        ------
        ValueError
            Where the limit has another shape than the predictor.
        """
        self._demand_w("a gap")
        direction = getattr(limit, "kind", "point") in ("direction", "ray")
        goal = checks.array("limit", getattr(limit, "w", limit),
                            "an array of the predictor's shape", dims=(1, 2))
        if goal.shape != self.w.shape[1:]:
            raise ValueError(f"limit must have the predictor's shape {self.w.shape[1:]}, got "
                             f"{goal.shape}")
        w, goal = self._flat, goal.ravel()
        if direction:
            with np.errstate(invalid="ignore", divide="ignore"):
                w, goal = (x / lengths(x)[:, None] for x in (w, goal[None]))
        # far out a distance may itself be beyond float64, and infinite is right
        with np.errstate(over="ignore"):
            return lengths(w - goal)

    def averaged(self) -> Trace:
        """The same run seen at the mean of its parameters, for a method with ``average=``.

        Returns
        -------
        Trace
            ``u`` (K, n) is the mean, ``w`` the predictor F(u) there, ``log_loss`` that of L there.

        Raises
        ------
        ValueError
            Where the method keeps no mean, or the rows none (``record_w=False``).

        References
        ----------
        Polyak, Juditsky (1992); Ruppert (1988); Izmailov, Podoprikhin, Garipov, Vetrov, Wilson
        (2018), "Averaging Weights Leads to Wider Optima and Better Generalization".

        Examples
        --------
        >>> import fastbias as fb
        >>> method = fb.methods.gradient_descent(0.25, average="mean")
        >>> trace = fb.run([[1]], [1], loss="squared", method=method, steps=3)
        >>> print(trace.w.ravel(), trace.averaged().w.ravel().round(4))
        [0.    0.5   0.75  0.875] [0.     0.5    0.625  0.7083]
        """
        problem = self.problem
        if self.averages is None or not isinstance(problem, Problem):
            raise ValueError("averaged() wants rows of w of a run whose method keeps a mean, such "
                             'as fb.methods.gradient_descent(0.1, average="mean")')
        w = problem.predictor(self.averages).reshape(len(self), *problem.shape)
        log_loss = np.array([problem.log_loss(u) for u in self.averages])
        return replace(self, u=self.averages, w=w, log_loss=log_loss, averages=None)

    def finite_gap(self, limit: Limit) -> np.ndarray:
        """Distance of the finite part from that of a ray at each row, ‖Π_S w − v̄‖₂ (K,).

        Parameters
        ----------
        limit : Limit of kind "ray"
            What ``plan.limit()`` returns on data that are separable in part: S is spanned by
            ``limit.span``, and v̄ is ``limit.offset``.

        Raises
        ------
        TypeError
            Where the limit is of another kind, which has no finite part.
        ValueError
            Where it has another shape than the predictor.

        Examples
        --------
        >>> import fastbias as fb
        >>> gd = fb.methods.gradient_descent(0.1)
        >>> plan = fb.Plan([[1, 0], [0, 1], [0, -1]], [1, 1, 1], loss="logistic", method=gd,
        ...                start=[0, 1])
        >>> print(plan.run(100, record=[0, 100]).finite_gap(plan.limit()).round(6))
        [1.      0.00619]
        """
        if not isinstance(limit, Limit) or limit.kind != "ray":
            kind = f"of kind {limit.kind!r}" if isinstance(limit, Limit) else checks.short(limit)
            raise TypeError(f"limit must be a Limit of kind 'ray', got {kind}")
        assert limit.span is not None
        assert limit.offset is not None
        if limit.w.shape != self.w.shape[1:]:
            raise ValueError(f"limit must have the predictor's shape {self.w.shape[1:]}, got "
                             f"{limit.w.shape}")
        return lengths((self._flat - limit.offset.ravel()) @ limit.span)

    def margin(self, norm: Norm | str = norms.l2) -> np.ndarray:
        """Return min_n y_n⟨w, x_n⟩/‖w‖ (K,) at each row, in a norm; NaN where w = 0.

        For classes the least ⟨w_y − w_c, x_n⟩ over samples and c ≠ y; the norm is that of all
        entries of w.
        """
        data, norm = self._labelled(), checks.one_of("norm", norm, norms, Norm)
        norm.fits(data.shape)
        self._demand_w("a margin in a norm")
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(data.margins(self.w) / norm(self._flat))

    @property
    def least_margin(self) -> np.ndarray:
        """The least margin y_n⟨w, x_n⟩, of classes ⟨w_y − w_c, x_n⟩, at each row (K,)."""
        if self.least is not None and self.problem is None:
            return self.least                             # read from a file
        data = self._labelled()
        return data.margins(self.w) if self.least is None else self.least

    def _labelled(self) -> Data:
        """The data, which must have labels."""
        data = self._data("a margin")
        # labels seen through a regression loss have margins as well
        if not data.labelled:
            raise ValueError("y must be labels ±1 or classes to have margins, got targets of the "
                             f"{data.loss.name} loss")
        return data

    def direction(self, norm: Norm | str = norms.l2) -> np.ndarray:
        """Return w/‖w‖ (K, d) or (K, m, n) at each row; NaN where w = 0."""
        self._demand_w("directions")
        size = checks.one_of("norm", norm, norms, Norm)(self._flat)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.w / size.reshape(-1, *[1] * (self.w.ndim - 1)))

    def increment(self) -> np.ndarray:
        """Return (w(t₂) − w(t₁))/log(t₂/t₁) over the last two decades, (d,) or (m, n).

        For gradient descent on separable data it tends to ŵ = argmin ‖w‖² s.t. y_n⟨w, x_n⟩ ≥ 1, and
        far faster than w/‖w‖ does; ValueError where fewer than two rows lie in these decades.
        """
        self._demand_w("an increment")
        end = self.log_t[-1] if len(self) else -np.inf
        # (t = 0 has no logarithm)
        last = np.flatnonzero(np.isfinite(self.log_t) & (self.log_t >= end - LAST))
        first = last[0] if last.size else -1
        if not last.size or not self.log_t[first] < end:
            raise ValueError("trace must have two rows within its last two decades, got "
                             f"{last.size}")
        return np.asarray((self.w[-1] - self.w[first]) / (self.log_t[-1] - self.log_t[first]))

    def rates(self, limit: Limit) -> Rates:
        """How the run approaches a limit: series, with the exponents fitted and predicted.

        Parameters
        ----------
        limit : Limit
            What ``plan.limit()`` returned.

        Returns
        -------
        Rates
            A tuple of Series, which prints as a table. For a direction: "direction" (the gap),
            "angle" (radians), "1 - cos", "margin gap" (1 − margin/γ), "norm" (‖w‖ in the limit's
            norm), "log loss", "log t L" (of t L(t)); for a ray: the first three, "finite gap",
            "norm" and "log loss"; for a point: "distance" and "log loss". ``fitted`` is the slope
            of log value (of the value itself where that is a logarithm) against the logarithm of
            the clock over the last two decades of t, or, where t has left int64, over the last
            decade of log t.
        """
        if not isinstance(limit, Limit):
            raise TypeError(f"limit must be a Limit, got {checks.short(limit)}")
        self._demand_w("rates")
        return rates.series(self, limit)

    def evaluate(self, X: ArrayLike | Sparse | None = None, y: ArrayLike | None = None, *,
                 weights: ArrayLike | None = None) -> Evaluation:
        """The loss and error of each row on other data, seen through the same loss.

        Parameters
        ----------
        X : (N, d) or (N, m, n), y : (N,) or (N, K), optional
            As for the `Plan`: features of the same shape (those of an intercept are appended
            here, too), labels called as there. Without both, the run's own data and weights.
        weights : (N,), optional
            Of these samples, not of those of the run, >= 0.

        Returns
        -------
        Evaluation
            ``log_loss`` (K,): log of the sum over these samples; ``error`` (K,): for labels and
            classes the fraction that is on the wrong side (or on the boundary), for other targets
            the root mean square of w·x − y (over all outputs). With weights all three are weighted.
            Also ``risk`` (K,), the mean loss, ``log_risk``, and of labels ``accuracy`` (K,).

        Raises
        ------
        ValueError, TypeError
            Where the data do not fit, or the trace was read from a file and knows no loss.

        Examples
        --------
        >>> import fastbias as fb
        >>> gd = fb.methods.gradient_descent(0.1)
        >>> trace = fb.run([[2, 1], [0, 1]], [1, -1], loss="logistic", method=gd, steps=100)
        >>> train, test = trace.evaluate(), trace.evaluate([[1, 0], [1, 2], [0, 3]], [1, 1, -1])
        >>> print(train.risk[[0, -1]].round(6), test.accuracy[-1].round(6))
        [0.693147 0.106888] 0.666667
        """
        self._demand_w("an evaluation")
        if X is None and y is None and weights is None:
            return evaluation(self._data("an evaluation"), self.w)
        if X is None or y is None:
            raise ValueError("X and y must be given both, or neither and no weights, got "
                             f"{'no X' if X is None else 'no y'}")
        # by the names of labels: the others may lack some class, and their order is not ours
        data = self._data("an evaluation")
        other = gather(X, y, data.loss, data.classes, weights=weights, intercept=data.intercept)
        if other.shape != data.shape or other.columns != data.columns:
            raise ValueError(f"X and y must have predictors of shape {data.shape}, got "
                             f"{other.shape}")
        return evaluation(other, self.w)

    @classmethod
    def from_arrays(cls, X: ArrayLike | Sparse, y: ArrayLike, t: ArrayLike, w: ArrayLike,
                    loss: Loss | str | None = None) -> Trace:
        """Make a trace of a trajectory from anywhere (PyTorch, …), to measure it as one of ours.

        Parameters
        ----------
        X : (N, d) or (N, m, n), y : (N,) or (N, K)
            The data.
        t : (K,) increasing, ≥ 0
            Updates done, or times.
        w : (K, d), (K, m, n), or (K, C, d) for C classes or outputs
            The linear predictors.
        loss : Loss or its name, optional
            By default squared where y has columns, cross_entropy where w has one more axis than a
            sample, logistic where all y are ±1, or strings or bools, else squared. With
            cross_entropy and fewer labels than rows of w, these must be among 0 … C−1.

        Raises
        ------
        ValueError, TypeError
            Where shapes do not fit, or an argument is bad.

        Examples
        --------
        >>> import fastbias as fb
        >>> trace = fb.Trace.from_arrays([[1, 0], [0, 1]], [1, 1], [1, 10], [[1, 0.5], [3, 3]])
        >>> print(trace.margin())
        [0.4472136  0.70710678]
        """
        # looked at first, as X and y are read by what w is
        rows = checks.array("w", w, "a (K, d) or (K, m, n) array", dims=(2, 3))
        times = checks.array("t", t, "a (K,) array", dims=1, length=len(rows))
        if (times < 0).any() or (np.diff(times) <= 0).any():
            raise ValueError("t must be increasing and >= 0")
        if loss is None:
            loss = guessed(X, y, rows)
        data = gather(X, y, loss)
        if data.loss.classes and data.classes is not None and data.classes.size < rows.shape[1]:
            # some classes have no samples: they are numbers
            data = gather(X, y, loss, np.arange(rows.shape[1]))
        if rows.shape[1:] != data.shape:
            raise ValueError(f"w must have rows of shape {data.shape}, got {rows.shape[1:]}")
        u = rows.reshape(len(rows), rows[:1].size)
        log_loss = np.array([data.loss.log(data.predictions(row), data.y) for row in u])
        # steps are whole numbers; anything else is the time of a flow
        if (times == np.round(times)).all() and times[-1] < checks.COUNTABLE:
            times = times.astype(np.int64)
        return cls(times, u, rows, log_loss, Status.OK, "made from arrays", data)

    def join(self, later: Trace) -> Trace:
        """Return one trace of this one's rows and those of a later one.

        Such as an exact run and where it fast-forwards to. Rows of this one from the later one's
        first on are left out; ValueError where predictors have other shapes.
        """
        self._demand_w("a joined one")
        if not isinstance(later, Trace) or later.w.shape[1:] != self.w.shape[1:]:
            raise ValueError(f"later must be a Trace with predictors of shape {self.w.shape[1:]}, "
                             f"got {checks.short(later)}")
        later._demand_w("a joined one")
        if not len(later):
            return self
        keep = self.log_t < later.log_t[0]
        # a fast-forward may know fewer parameters than the run: those that both know
        n = min(self.u.shape[1], later.u.shape[1])

        def both(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
            return None if a is None or b is None else np.concatenate([a[keep], b])
        zeros = np.zeros(len(self))                       # exact steps have no error to estimate
        return Trace(np.concatenate([self.t[keep], later.t]),
                     np.vstack([self.u[keep, :n], later.u[:, :n]]),
                     np.concatenate([self.w[keep], later.w]),
                     np.concatenate([self.log_loss[keep], later.log_loss]),
                     later.status, later.message, later.problem or self.problem,
                     both(zeros if self.error_estimate is None else self.error_estimate,
                          later.error_estimate),
                     np.concatenate([self.log_t[keep], later.log_t]), both(self.slack, later.slack),
                     kept_names=later.names or self.names,
                     kept_classes=self.classes if later.classes is None else later.classes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the rows to an NPZ file (no pickle) with a digest, whole or not at all.

        What `load` reads back has all but the data, of which it keeps what columns and labels are
        called; ValueError where the folder does not exist.
        """
        storing.write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read a trace that `save` wrote; ValueError where it is none, or a bit is not as it was.

        Files without a digest, which an earlier `save` wrote, are read as well: their ZIP container
        has check sums.
        """
        return cls(**storing.read(path))

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows as a DataFrame: index t, columns log_loss, w0, w1, … or w[name], …."""
        return storing.table(self)

    def to_xarray(self) -> xarray.Dataset:
        """Return the rows as a Dataset over the dimension t (needs xarray)."""
        return storing.frame(self)

    def plot(self, what: str | Axes | None = "loss", limit: Limit | None = None,
             ax: Axes | None = None, **style: Any) -> Axes:
        """Draw the run against t on logarithmic axes; against log t where t does not fit in.

        Parameters
        ----------
        what : str, default "loss"
            "loss", "margin", "gap", "angle", any quantity of `rates`, or "trajectory": the first
            two entries of w.
        limit : Limit, optional
            Drawn dashed, beside what is fitted; gap, angle and the series of `rates` need it.
        ax : matplotlib Axes, optional
            Where to draw; a new figure's where it is not given. Style is handed to ``ax.plot``;
            ``slopes=False`` leaves out what is fitted and predicted beside gaps, angles and series.
        """
        return above.picture(self, what, limit, ax, **style)

    def _report(self) -> Report:
        return storing.report(self)


class RunStopped(ArithmeticError):  # noqa: N818 (the contract's name)
    """A run that could not go on, as its status says.

    The iterate left the domain, ceased to be finite, or a line search has no minimiser.

    Parameters
    ----------
    message : str
        One sentence with the step at which it happened.
    trace : Trace
        Everything up to the last good iterate, all finite; ``.status`` is its status.
    """

    def __init__(self, message: str, trace: Trace) -> None:
        super().__init__(message)
        self.trace, self.status = trace, trace.status

    def __reduce__(self) -> tuple[type[RunStopped], tuple[str, Trace]]:
        return type(self), (str(self), self.trace)
