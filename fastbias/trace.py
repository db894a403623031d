"""A trace: the rows a run wrote down, how it ended, and arithmetic on them."""
from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks, norms
from fastbias.abi import MESSAGES, Status
from fastbias.norms import Norm

if TYPE_CHECKING:
    import matplotlib.axes
    import pandas
    import xarray

    from fastbias.problem import Problem

__all__ = ["RunStopped", "Trace"]


@dataclass(frozen=True, eq=False)
class Trace:
    """What a run wrote down: K rows of time, parameters and log loss, the first and last step always among them.

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
    """

    t: np.ndarray
    u: np.ndarray
    w: np.ndarray
    log_loss: np.ndarray
    status: Status = Status.OK
    message: str = MESSAGES[Status.OK]
    problem: Problem | None = field(default=None, repr=False)

    @cached_property
    def log_t(self) -> np.ndarray:
        """(K,) natural logarithm of t; −inf at t = 0."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.t))

    def __len__(self) -> int:
        return int(self.t.size)

    def gap(self, limit: Any) -> np.ndarray:
        """Distance to a limit at each row.

        Parameters
        ----------
        limit : Limit or array of the predictor's shape
            What ``plan.limit()`` returned, or a point.

        Returns
        -------
        (K,) float64
            ‖w − w∞‖₂ for a point; for a direction, the distance of the ℓ2-unit directions (NaN where w = 0).

        Raises
        ------
        ValueError
            Where the limit has another shape than the predictor.
        """
        direction = getattr(limit, "kind", "point") == "direction"
        goal = checks.array("limit", getattr(limit, "w", limit), "an array of the predictor's shape", dims=(1, 2))
        if goal.shape != self.w.shape[1:]:
            raise ValueError(f"limit must have the predictor's shape {self.w.shape[1:]}, got {goal.shape}")
        w, goal = self.w.reshape(len(self), -1), goal.ravel()
        if direction:
            with np.errstate(invalid="ignore", divide="ignore"):
                w, goal = w / np.linalg.norm(w, axis=1, keepdims=True), goal / np.linalg.norm(goal)
        return np.asarray(np.linalg.norm(w - goal, axis=1))

    def margin(self, norm: Norm = norms.l2) -> np.ndarray:
        """Return min_n y_n⟨w, x_n⟩/‖w‖ (K,) at each row, in a norm of ``fb.norms``; NaN where w = 0."""
        if self.problem is None:
            raise ValueError("trace must know its data for a margin, got one that was read from a file")
        w = self.w.reshape(len(self), -1)
        least = (w @ (self.problem.y[:, None] * self.problem.X).T).min(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(least / norm(w))

    def direction(self, norm: Norm = norms.l2) -> np.ndarray:
        """Return w/‖w‖ (K, d) or (K, m, n) at each row; NaN where w = 0."""
        size = norm(self.w.reshape(len(self), -1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.w / size.reshape(-1, *[1] * (self.w.ndim - 1)))

    def increment(self) -> np.ndarray:
        """Return (w(t₂) − w(t₁))/log(t₂/t₁) over the last two decades, (d,) or (m, n).

        For gradient descent on separable data it tends to ŵ = argmin ‖w‖² s.t. y_n⟨w, x_n⟩ ≥ 1, and far faster than w/‖w‖
        does; ValueError where fewer than two rows lie in these decades.
        """
        last = np.flatnonzero((self.t > 0) & (self.t >= self.t[-1] / 100))
        if last.size < 2:
            raise ValueError(f"trace must have two rows within its last two decades, got {last.size}")
        first = last[0]
        return np.asarray((self.w[-1] - self.w[first]) / (self.log_t[-1] - self.log_t[first]))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the rows to an NPZ file (no pickle); read it back with `Trace.load`."""
        with open(path, "wb") as file:
            np.savez(file, t=self.t, u=self.u, w=self.w, log_loss=self.log_loss, status=np.int64(self.status),
                     message=np.array(self.message))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read a trace that `save` wrote; ValueError where the file is none."""
        try:
            with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                return cls(file["t"], file["u"], file["w"], file["log_loss"], Status(int(file["status"])),
                           str(file["message"]))
        except (KeyError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"path must be a file that Trace.save wrote, got {os.fspath(path)!r}: {error}") from None

    def to_pandas(self) -> pandas.DataFrame:
        """Return the rows as a DataFrame: index t, columns log_loss and w0, w1, … (needs pandas)."""
        import pandas
        flat = self.w.reshape(len(self), -1)
        columns = {"log_loss": self.log_loss} | {f"w{i}": flat[:, i] for i in range(flat.shape[1])}
        return pandas.DataFrame(columns, index=pandas.Index(self.t, name="t"))

    def to_xarray(self) -> xarray.Dataset:
        """Return the rows as a Dataset over the dimension t (needs xarray)."""
        import xarray
        dims = ("i", "j")[: self.w.ndim - 1]
        return xarray.Dataset({"w": (("t", *dims), self.w), "u": (("t", "n"), self.u), "log_loss": ("t", self.log_loss)},
                              coords={"t": self.t}, attrs={"status": self.status.name, "message": self.message})

    def plot(self, ax: matplotlib.axes.Axes | None = None, **style: Any) -> matplotlib.axes.Axes:
        """Draw the loss against t on logarithmic axes.

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
        seen = self.t > 0
        ax.plot(self.t[seen], self.log_loss[seen] / np.log(10), **style)
        ax.set(xscale="log", xlabel="steps t", ylabel=r"$\log_{10} L(w_t)$")
        return ax

    def __str__(self) -> str:
        end = f"t = {self.t[-1]:g}: log L = {self.log_loss[-1]:.6g}, w = {checks.short(self.w[-1])}"
        return f"{len(self)} rows to {end}; {self.message}"


class RunStopped(ArithmeticError):  # noqa: N818 (the contract's name)
    """A run that could not go on: the iterate left the domain, ceased to be finite, or a line search has no minimiser.

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
