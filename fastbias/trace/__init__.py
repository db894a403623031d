"""A trace: the rows a run wrote down, how it ended, and arithmetic on them."""
from fastbias.trace.trace import RunStopped, Trace

__all__ = ["RunStopped", "Trace"]
