"""Norms, for steepest descent eq. (11): Δ = argmin_v ⟨∇L, v⟩ + ½‖v‖², and for margins.

A norm is three compiled pieces. ``steepest(params, g, out)`` writes the Δ of eq. (11) for g = −∇L,
the factor ‖g‖⋆ included: ⟨Δ, g⟩ = ‖Δ‖² = ‖g‖⋆², eq. (12) with its ½. ``dual_norm(params, g)`` and
``norm(params, w)`` return numbers. Beside them stands the convex face, the norm as cvxpy sees it.
To add one: write these, put them into a `Norm`, list it in its file's ``EXAMPLES``; the laws then
hold it to account.

>>> import fastbias as fb
>>> for norm in (fb.norms.l1, fb.norms.l2, fb.norms.linf):
...     print(norm.name, norm.dual([3.0, -4.0]), norm.direction([3.0, -4.0]))
l1 4.0 [ 0. -4.]
l2 5.0 [ 3. -4.]
linf 7.0 [ 7. -7.]
"""
from fastbias.pieces.norms import frequencies, matrices, vectors
from fastbias.pieces.norms.base import Norm
from fastbias.pieces.norms.frequencies import fourier
from fastbias.pieces.norms.matrices import nuclear, spectral
from fastbias.pieces.norms.vectors import group, l1, l2, linf, lp, quadratic

__all__ = ["Norm", "fourier", "group", "l1", "l2", "linf", "lp", "nuclear", "quadratic", "spectral"]

EXAMPLES: tuple[Norm, ...] = vectors.EXAMPLES + matrices.EXAMPLES + frequencies.EXAMPLES
