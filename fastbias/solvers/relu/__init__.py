"""ReLU networks with one hidden layer, of any width: what functions cost, the cheapest through
points, and the largest margin, certified.

`fit` and `margin` in `least`, the objects in `networks` and `line`, the search in `exchange` and
`polish`, the proof in `certificate`, all units of the data in `arrangement` and `units`.

>>> import fastbias as fb
>>> best = fb.relu.fit([-1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
>>> best.certified, round(best.cost, 9)
(True, 2.0)
"""
from fastbias.solvers.relu.least import Interpolant, Widest, fit, margin
from fastbias.solvers.relu.line import PiecewiseLinear
from fastbias.solvers.relu.networks import Kinks, Network, network

__all__ = ["Interpolant", "Kinks", "Network", "PiecewiseLinear", "Widest", "fit", "margin",
           "network"]
