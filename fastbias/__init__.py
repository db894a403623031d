"""fastbias: which of the many optima does an optimiser pick?

It runs mirror, steepest, natural and momentum methods on linear models, for a million compiled
steps and far beyond, and holds where they go against what theory predicts, solved to a certificate.
It implements Gunasekar, Lee, Soudry, Srebro, "Characterizing Implicit Bias in Terms of Optimization
Geometry" (ICML 2018).

>>> import fastbias as fb
>>> method = fb.methods.mirror_descent(fb.potentials.entropy, 0.05)
>>> plan = fb.Plan([[1, 2]], [1], loss=fb.losses.squared, method=method)
>>> trace, limit = plan.run(1000), plan.limit()
>>> print(limit.w.round(9), limit.certified)
[0.5  0.25] True

Everything is float64. Long runs go in compiled chunks without the GIL; Ctrl-C keeps what was done.
"""
from fastbias import data, forward, plots, proofs, theory
from fastbias.data import features
from fastbias.discovery import Conjecture, axioms, bridges, hunt, identify
from fastbias.engine import abi
from fastbias.engine.abi import Status, piece
from fastbias.engine.call import descend
from fastbias.pieces import laws, losses, methods, models, norms, potentials, steps
from fastbias.running import capi, continual
from fastbias.running import checkpoint as checkpoint
from fastbias.running.plan import Plan, run
from fastbias.running.sweep import Sweep, sweep
from fastbias.solvers import relu
from fastbias.solvers.bregman import bregman_projection
from fastbias.solvers.diagnose import diagnose
from fastbias.solvers.lasso import l1_path
from fastbias.solvers.limit import Limit, NoTheorem
from fastbias.solvers.margins import max_margin, separability
from fastbias.solvers.minimum_norm import minimum_norm
from fastbias.solvers.regularisation import regularisation_path
from fastbias.solvers.semidefinite import psd_margin, psd_separability
from fastbias.solvers.separation import separation
from fastbias.trace import RunStopped, Trace

__version__ = "0.1.0"

__all__ = [
    "Conjecture", "Limit", "NoTheorem", "Plan", "RunStopped", "Status", "Sweep", "Trace", "abi",
    "axioms", "bregman_projection", "bridges", "capi", "continual", "data", "descend", "diagnose",
    "features", "forward", "hunt", "identify", "l1_path", "laws", "losses", "max_margin", "methods",
    "minimum_norm", "models", "norms", "piece", "plots", "potentials", "proofs", "psd_margin",
    "psd_separability", "regularisation_path", "relu", "run", "separability", "separation", "steps",
    "sweep", "theory",
]
