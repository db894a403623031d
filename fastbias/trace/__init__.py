"""A trace: the rows a run wrote down, how it ended, and arithmetic on them."""
from fastbias.trace.stopped import RunStopped
from fastbias.trace.trace import Trace

__all__ = ["RunStopped", "Trace"]
