"""Beyond single steps: the continuous-time flow η → 0, and fast-forward from some exact steps to
any t.
"""
from fastbias.forward.continuous import flow
from fastbias.forward.fast import fast_forward

__all__ = ["fast_forward", "flow"]
