"""Beyond single steps: the continuous-time flow η → 0, and fast-forward from some exact steps to
any t.

>>> import fastbias as fb
>>> plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.05))
>>> fb.forward.flow(plan.problem).w[-1].round(6)              # and: plan.flow()
array([0.2, 0.4])
>>> print(plan.fast_forward(100.0).log_t[-1])                  # which is fb.forward.fast_forward
100.0
"""
from fastbias.forward.continuous import flow
from fastbias.forward.fast import fast_forward

__all__ = ["fast_forward", "flow"]
