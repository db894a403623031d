"""A trace: the rows a run wrote down, how it ended, and arithmetic on them."""
from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastbias import checks
from fastbias.checks import files
from fastbias.checks.sizes import lengths
from fastbias.engine.abi import MESSAGES, Status
from fastbias.pieces import norms
from fastbias.pieces.norms import Norm
from fastbias.problem import Data, Problem, gather
from fastbias.solvers.kkt import stationarity
from fastbias.solvers.limit import Limit

if TYPE_CHECKING:
    import matplotlib.axes
    import pandas
    import xarray


__all__ = ["Evaluation", "RunStopped", "Series", "Trace"]


EXTRA = ("log_times", "error_estimate", "slack")     # what only a fast-forwarded trace has


class Series(NamedTuple):
    """A quantity along a trace: its values (K,), its clock ("t" or "log t"), the exponent fitted
    and the one predicted.

    ``level`` is what theory says it tends to, where it does; NaN stands for what is not known.
    """

    quantity: str
    values: np.ndarray
    clock: str
    fitted: float
    predicted: float
    level: float


class Evaluation(NamedTuple):
    """Log loss (K,) and error (K,) at each row."""

    log_loss: np.ndarray
    error: np.ndarray


@dataclass(frozen=True, eq=False)
class Trace:
    """What a run wrote down: K rows of time, parameters and log loss, the first and last step
    always among them.

    Parameters
    ----------
    t : (K,) int64
        Updates done at each row (for a flow: float64, the time).
    u : (K, n) float64
        The parameters.
    w : (K, d) or (K, m, n) float64
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
    """

    t: np.ndarray
    u: np.ndarray
    w: np.ndarray
    log_loss: np.ndarray
    status: Status = Status.OK
    message: str = MESSAGES[Status.OK]
    problem: Data | None = field(default=None, repr=False)
    error_estimate: np.ndarray | None = field(default=None, repr=False)
    log_times: np.ndarray | None = field(default=None, repr=False)
    slack: np.ndarray | None = field(default=None, repr=False)

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
    def classes(self) -> np.ndarray | None:
        """The labels as they were given, sorted: which is −1 and which +1, or the classes in order;
        None for numbers.
        """
        return None if self.problem is None else self.problem.classes

    def gap(self, limit: Any) -> np.ndarray:
        """Distance to a limit at each row.

        Parameters
        ----------
        limit : Limit or array of the predictor's shape
            What ``plan.limit()`` returned, or a point.

        Returns
        -------
        (K,) float64
            ‖w − w∞‖₂ for a point; for a direction, the distance of the ℓ2-unit directions (NaN
            where w = 0).

        Raises
        ------
        ValueError
            Where the limit has another shape than the predictor.
        """
        direction = getattr(limit, "kind", "point") == "direction"
        goal = checks.array("limit", getattr(limit, "w", limit), "an array of the predictor's "
                            "shape", dims=(1, 2))
        if goal.shape != self.w.shape[1:]:
            raise ValueError(f"limit must have the predictor's shape {self.w.shape[1:]}, got "
                             f"{goal.shape}")
        w, goal = self.w.reshape(len(self), -1), goal.ravel()
        if direction:
            with np.errstate(invalid="ignore", divide="ignore"):
                w, goal = (x / lengths(x)[:, None] for x in (w, goal[None]))
        with np.errstate(over="ignore"):
            return lengths(w - goal)

    def margin(self, norm: Norm = norms.l2) -> np.ndarray:
        """Return min_n y_n⟨w, x_n⟩/‖w‖ (K,) at each row, in a norm of ``fb.norms``; NaN where w =
        0.

        For classes the least ⟨w_y − w_c, x_n⟩ over samples and c ≠ y; the norm is that of all
        entries of w.
        """
        data, norm = self._data("a margin"), checks.one_of("norm", norm, norms, Norm)
        if data.loss.kind != "monotone" and not (np.abs(data.y) == 1).all():
            raise ValueError("y must be labels ±1 or classes to have margins, got targets of the "
                             f"{data.loss.name} loss")
        norm.fits(data.shape)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(data.margins(self.w) / norm(self.w.reshape(len(self), -1)))

    def direction(self, norm: Norm = norms.l2) -> np.ndarray:
        """Return w/‖w‖ (K, d) or (K, m, n) at each row; NaN where w = 0."""
        size = checks.one_of("norm", norm, norms, Norm)(self.w.reshape(len(self), -1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.w / size.reshape(-1, *[1] * (self.w.ndim - 1)))

    def increment(self) -> np.ndarray:
        """Return (w(t₂) − w(t₁))/log(t₂/t₁) over the last two decades, (d,) or (m, n).

        For gradient descent on separable data it tends to ŵ = argmin ‖w‖² s.t. y_n⟨w, x_n⟩ ≥ 1, and
        far faster than w/‖w‖ does; ValueError where fewer than two rows lie in these decades.
        """
        last = np.flatnonzero(np.isfinite(self.log_t)
                              & (self.log_t >= self.log_t[-1] - np.log(100.0)))
        first = last[0] if last.size else -1
        if not self.log_t[first] < self.log_t[-1]:
            raise ValueError("trace must have two rows within its last two decades, got "
                             f"{last.size}")
        return np.asarray((self.w[-1] - self.w[first]) / (self.log_t[-1] - self.log_t[first]))

    def rates(self, limit: Limit) -> tuple[Series, ...]:
        """How the run approaches a limit: series, each with the exponent fitted to it and the one
        that theory predicts.

        Parameters
        ----------
        limit : Limit
            What ``plan.limit()`` returned.

        Returns
        -------
        tuple of Series
            For a direction: "direction" (the gap), "angle" (radians), "1 - cos", "margin gap" (1 −
            margin/γ), "norm" (‖w‖ in the limit's norm), "log loss", "log t L" (of t L(t)); for a
            point: "distance" and "log loss". ``fitted`` is the slope of log value (of the value
            itself where that is a logarithm) against the logarithm of the clock over the last two
            decades of t, or, where t has left int64, over the last decade of log t.
        """
        if not isinstance(limit, Limit):
            raise TypeError(f"limit must be a Limit, got {checks.short(limit)}")
        known = {r.quantity: r for r in limit.rates}
        gap = self.gap(limit)
        logs: dict[str, np.ndarray] = {"distance": gap}
        with np.errstate(divide="ignore", invalid="ignore"):
            if limit.kind == "direction":
                assert limit.norm is not None
                logs = {"direction": gap, "angle": 2.0 * np.arcsin(np.minimum(gap / 2.0, 1.0)),
                        "1 - cos": gap ** 2 / 2.0, "margin gap": 1.0 - self.margin(limit.norm)
                        / limit.margin,
                        "norm": np.asarray(limit.norm(self.w.reshape(len(self), -1)))}
            logs = {name: np.log(np.maximum(x, 0.0)) for name, x in logs.items()}
            logs["log loss"] = self.log_loss
            if limit.kind == "direction":
                logs["log t L"] = self.log_t + self.log_loss
        out = []
        for name, series in logs.items():
            rate = known.get(name)
            clock = (rate.clock if rate is not None else "log t" if name == "norm"
                     and "1 - cos" in known else "t")
            values = series if name.startswith("log ") else np.exp(series)
            out.append(Series(name, values, clock, self._slope(series, clock), rate.slope
                              if rate else float("nan"), rate.level if rate else float("nan")))
        return tuple(out)

    def _slope(self, logs: np.ndarray, clock: str) -> float:
        """The slope of a series' logarithm against the logarithm of its clock, over its last rows,
        see `rates`.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.log(self.log_t) if clock == "log t" else self.log_t
        end = float(self.log_t[-1])
        begin = 0.1 * end if self.t[-1] < 0 else end - np.log(100.0)
        use = (self.log_t > 0) & (self.log_t >= begin) & np.isfinite(logs) & np.isfinite(x)
        enough = use.sum() >= 3 and np.ptp(x[use]) > 0
        return float(np.polyfit(x[use], logs[use], 1)[0]) if enough else float("nan")

    def cone_distance(self, limit: Limit) -> np.ndarray:
        """Return how far −∇L/‖∇L‖₂ is from the cone of the limit's support vectors (K,), in ℓ2:
        Lemma 8's residual.

        Lemma 8: where w/‖w‖ converges, every accumulation point of −∇L/‖∇L‖ is Σ α_n y_n x_n, α ≥
        0, over the support vectors of the limit direction; so this tends to 0. Support vectors:
        margin within 1e-9 of the least, relatively.
        """
        data = self._data("Lemma 8")
        if not isinstance(limit, Limit) or limit.kind != "direction" or limit.w.size != data.size:
            raise ValueError(f"limit must be a direction with {data.size} entries, got "
                             f"{checks.short(limit)}")
        return np.array([data.off_cone(row, limit.w) for row in self.w])

    def kkt_residual(self) -> np.ndarray:
        """Return how far each row is from a stationary point of min ½‖u‖² with margins y_n⟨F(u),
        x_n⟩ ≥ 1 (K,).

        With u scaled to a least margin of one, the least over λ ≥ 0 of the root of
        ‖u − Σ λ_n F'(u)ᵀ y_n x_n‖²/‖u‖² + Σ (λ_n (m_n − 1) L/‖u‖²)², L the degree of the model;
        infinite where a sample is on the wrong side. With exponential losses gradient flow on a
        homogeneous model brings it to 0 (Lyu & Li 2020).
        """
        problem = self._data("a KKT residual")
        if (not isinstance(problem, Problem) or problem.loss.kind != "monotone"
            or not problem.model.degree):
            raise ValueError("trace must be a run of a homogeneous model on a monotone loss for a "
                             "KKT residual")
        return np.array([stationarity(problem, row)[0] for row in self.u])

    def invariant(self) -> np.ndarray:
        """Return what gradient flow on the model keeps, whatever the loss and data, at each row (K,
        M).

        ``model.invariant`` of the layers, flat: UᵀU − VᵀV of a factorisation, W_lW_lᵀ −
        W_{l+1}ᵀW_{l+1} of a deep linear network, differences of squares of a diagonal or (frequency
        by frequency) convolutional one. Gradient descent with step η lets it drift by O(η), as far
        as it goes; ValueError where the trace knows no model, or one without such.

        Examples
        --------
        >>> import fastbias as fb
        >>> gd, model = fb.methods.gradient_descent(0.01), fb.models.diagonal(2)
        >>> trace = fb.run([[1]], [2], loss="squared", method=gd, model=model, start=[2, 1], steps=100, record=[0, 100])
        >>> print(trace.invariant().round(6))
        [[3.]
         [3.]]
        """
        model = getattr(self._data("an invariant"), "model", None)
        if model is None or model.invariant is None:
            known = "none that is known" if model is None else f"the {model.name} model"
            raise ValueError(f"trace must be of a model that keeps an invariant, got {known}")
        size = int(np.prod(self.w.shape[1:]))
        return np.array([np.ravel(model.invariant(model.split(row, size))) for row in self.u])

    def evaluate(self, X: Any, y: Any) -> Evaluation:
        """The loss and error of each row on other data, seen through the same loss.

        Parameters
        ----------
        X : (N, d) or (N, m, n), y : (N,)
            As for the `Plan`: features of the same shape, labels called as there.

        Returns
        -------
        Evaluation
            ``log_loss`` (K,): log of the sum over these samples; ``error`` (K,): for labels and
            classes the fraction that is on the wrong side (or on the boundary), for other targets
            the root mean square of w·x − y.
        """
        data = self._data("an evaluation")
        other = gather(X, y, data.loss, data.classes)
        if other.shape != data.shape:
            raise ValueError(f"X must have predictors of shape {data.shape}, got {other.shape}")
        predictions = [other.predictions(row.ravel()) for row in self.w]
        log_loss = [other.loss.log(p, other.y) for p in predictions]
        if other.loss.kind == "root":
            error = [_root_mean_square(p - other.y) for p in predictions]
        else:
            error = [float((other.least(row.ravel()) <= 0).mean()) for row in self.w]
        return Evaluation(np.array(log_loss), np.array(error))

    @classmethod
    def from_arrays(cls, X: Any, y: Any, t: Any, w: Any, loss: Any = None) -> Trace:
        """Make a trace of a trajectory from anywhere (PyTorch, scikit-learn, ...), to measure it as
        one of ours.

        Parameters
        ----------
        X : (N, d) or (N, m, n), y : (N,)
            The data.
        t : (K,) increasing, ≥ 0
            Updates done, or times.
        w : (K, d), (K, m, n), or (K, C, d) for C classes
            The linear predictors.
        loss : Loss or its name, optional
            By default cross_entropy where w has one more axis than a sample, logistic where all y
            are ±1, or strings or bools, else squared. With cross_entropy and fewer labels than rows
            of w, these must be among 0 … C−1.

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
        rows = checks.array("w", w, "a (K, d) or (K, m, n) array", dims=(2, 3))
        times = checks.array("t", t, "a (K,) array", dims=1, length=len(rows))
        if (times < 0).any() or (np.diff(times) <= 0).any():
            raise ValueError("t must be increasing and >= 0")
        if loss is None:
            labels = checks.named_values("y", y)
            two = labels.dtype.kind not in "iuf" or bool((np.abs(labels.astype(float)) == 1).all())
            many = rows.ndim > checks.array("X", X, "an (N, d) or (N, m, n)", dims=(2, 3)).ndim
            loss = "cross_entropy" if many else "logistic" if two else "squared"
        data = gather(X, y, loss)
        if data.loss.classes and data.classes is not None and data.classes.size < rows.shape[1]:
            # some classes have no samples: they are numbers
            data = gather(X, y, loss, np.arange(rows.shape[1]))
        if rows.shape[1:] != data.shape:
            raise ValueError(f"w must have rows of shape {data.shape}, got {rows.shape[1:]}")
        u = rows.reshape(len(rows), -1)
        log_loss = np.array([data.loss.log(data.predictions(row), data.y) for row in u])
        whole = (times.astype(np.int64) if (times == np.round(times)).all()
                 and times[-1] < 2.0 ** 62 else times)
        return cls(whole, u, rows, log_loss, Status.OK, "made from arrays", data)

    def _data(self, what: str) -> Data:
        if self.problem is None:
            raise ValueError(f"trace must know its data for {what}, got one that was read from a "
                             "file")
        return self.problem

    def join(self, later: Trace) -> Trace:
        """Return one trace of this one's rows and those of a later one, such as an exact run and
        where it fast-forwards to.

        Rows of this one from the later one's first on are left out; ValueError where predictors
        have other shapes.
        """
        if not isinstance(later, Trace) or later.w.shape[1:] != self.w.shape[1:]:
            raise ValueError(f"later must be a Trace with predictors of shape {self.w.shape[1:]}, "
                             f"got {checks.short(later)}")
        if not len(later):
            return self
        keep = self.log_t < later.log_t[0]
        n = min(self.u.shape[1], later.u.shape[1])

        def both(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
            return None if a is None or b is None else np.concatenate([a[keep], b])
        zeros = np.zeros(len(self))
        return Trace(np.concatenate([self.t[keep], later.t]),
                     np.vstack([self.u[keep, :n], later.u[:, :n]]),
                     np.concatenate([self.w[keep], later.w]),
                     np.concatenate([self.log_loss[keep], later.log_loss]),
                     later.status, later.message, later.problem or self.problem,
                     both(zeros if self.error_estimate is None else self.error_estimate,
                          later.error_estimate),
                     np.concatenate([self.log_t[keep], later.log_t]), both(self.slack, later.slack))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the rows to an NPZ file (no pickle) with a digest, whole or not at all; read it
        back with `Trace.load`.
        """
        extra = {name: getattr(self, name) for name in EXTRA if getattr(self, name) is not None}
        files.write(checks.path("path", path), files.seal(
            {"t": self.t, "u": self.u, "w": self.w, "log_loss": self.log_loss,
             "status": np.int64(self.status), "message": np.array(self.message)} | extra))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read a trace that `save` wrote; ValueError where the file is none, or one bit is not as
        it was.

        Files without a digest, which an earlier `save` wrote, are read as well: their ZIP container
        has check sums.
        """
        what = "a file that Trace.save wrote"
        kept = files.read(path, what, sealed=False)
        with files.untrusted(f"path must be {what}, got {os.fspath(path)!r}"):
            w = ("K", "m", "d") if np.ndim(kept.get("w", ())) == 3 else ("K", "d")
            files.expect(kept, {"t": ("i8 f8", ("K",)), "u": ("f8", ("K", "n")), "w": ("f8", w),
                                "log_loss": ("f8", ("K",)), "status": ("i8", ()),
                                "message": ("U", ())}
                         | {name: ("f8", ("K", "N") if name == "slack" else ("K",))
                            for name in EXTRA if name in kept})
            for name in ("t", "u", "w"):
                if not kept[name].size or not np.isfinite(kept[name]).all():
                    raise ValueError(f"{name} must be finite and not empty")
            clock = kept.get("log_times", kept["t"])
            if not (np.diff(clock) >= 0).all() or not clock[-1] < np.inf or (clock is kept["t"]
                                                                             and clock[0] < 0):
                raise ValueError("its rows must be in the order of time")
            return cls(kept["t"], kept["u"], kept["w"], kept["log_loss"],
                       Status(int(kept["status"])), str(kept["message"]), None,
                       *(kept.get(name) for name in ("error_estimate", "log_times", "slack")))

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows as a DataFrame: index t, columns log_loss and w0, w1, … (needs
        pandas).
        """
        import pandas
        flat = self.w.reshape(len(self), -1)
        columns = {"log_loss": self.log_loss} | {f"w{i}": flat[:, i] for i in range(flat.shape[1])}
        return pandas.DataFrame(columns, index=pandas.Index(self.t, name="t"))

    def to_xarray(self) -> xarray.Dataset:
        """Return the rows as a Dataset over the dimension t (needs xarray)."""
        import xarray
        dims = ("i", "j")[: self.w.ndim - 1]
        return xarray.Dataset({"w": (("t", *dims), self.w), "u": (("t", "n"), self.u),
                               "log_loss": ("t", self.log_loss)},
                              coords={"t": self.t},
                              attrs={"status": self.status.name, "message": self.message})

    def plot(self, ax: matplotlib.axes.Axes | None = None, **style: Any) -> matplotlib.axes.Axes:
        """Draw the loss against t on logarithmic axes (where t does not fit into them, against log
        t).

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure's where it is not given.
        **style
            Handed to ``ax.plot``.

        Returns
        -------
        matplotlib Axes
        """
        if ax is None:
            import matplotlib.pyplot as plt
            ax = plt.subplots()[1]
        if not callable(getattr(ax, "plot", None)):
            raise TypeError(f"ax must be a matplotlib Axes, got {checks.short(ax)}")
        far = bool((self.t < 0).any())
        x = self.log_t if far else self.t
        seen = x > 0
        ax.plot(x[seen], self.log_loss[seen] / np.log(10), **style)
        ax.set(xscale="log", xlabel=r"$\log t$" if far else "steps t", ylabel=r"$\log_{10} L(w_t)$")
        return ax

    def __str__(self) -> str:
        if not len(self):
            return f"0 rows; {self.message}"
        when = f"t = {self.t[-1]:g}" if self.t[-1] >= 0 else f"log t = {self.log_t[-1]:g}"
        end = f"{when}: log L = {self.log_loss[-1]:.6g}, w = {checks.short(self.w[-1])}"
        return f"{len(self)} rows to {end}; {self.message}"


def _root_mean_square(x: np.ndarray) -> float:
    """√mean(x²), brought to size one before it is squared."""
    size = float(np.abs(x).max())
    return size * float(np.sqrt(np.mean((x / size) ** 2))) if 0 < size < np.inf else size


class RunStopped(ArithmeticError):  # noqa: N818 (the contract's name)
    """A run that could not go on: the iterate left the domain, ceased to be finite, or a line
    search has no minimiser.

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
