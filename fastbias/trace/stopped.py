"""What is raised where a run cannot go on, with all that it came to."""
from __future__ import annotations

from fastbias.trace.trace import Trace

__all__ = ["RunStopped"]


class RunStopped(ArithmeticError):  # noqa: N818 (the contract's name)
    """A run that could not go on, as its status says.

    The iterate left the domain, ceased to be finite, or a line search has no minimiser.

    Parameters
    ----------
    message : str
        One sentence with the step at which it happened.
    trace : Trace
        Everything up to the last good iterate, all finite; ``.status`` is its status.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbias as fb
    >>> method = fb.methods.gradient_descent(10.0)
    >>> plan = fb.Plan([[1, 2]], [1], loss="squared", method=method)
    >>> try:
    ...     plan.run(1000)
    ... except fb.RunStopped as stopped:
    ...     print(stopped.status.name, bool(np.isfinite(stopped.trace.w).all()))
    NOT_FINITE True
    """

    def __init__(self, message: str, trace: Trace) -> None:
        super().__init__(message)
        self.trace, self.status = trace, trace.status

    def __reduce__(self) -> tuple[type[RunStopped], tuple[str, Trace]]:
        return type(self), (str(self), self.trace)
