"""Potentials ψ, for mirror descent eq. (5), natural gradient descent eq. (9), and Bregman
projections eq. (6).

A potential is four compiled pieces. ``link(params, w, out)`` writes z = ∇ψ(w) and returns
OUT_OF_DOMAIN where w lies outside dom ψ; ``inverse_link(params, z, out)`` writes (∇ψ)⁻¹(z);
``metric(params, w, g, out)`` writes ∇²ψ(w)⁻¹ g; ``value(params, w)`` returns ψ(w). Beside them
stands the convex face, ψ as cvxpy sees it. To add one: write these, put them into a `Potential`,
list it in its file's ``EXAMPLES``; the laws then hold it to account.

>>> import fastbias as fb
>>> for potential in (fb.potentials.euclidean, fb.potentials.entropy, fb.potentials.cosh):
...     print(potential.name, potential.to_dual([1.0, 2.0]).round(4))
euclidean [1. 2.]
entropy [0.     0.6931]
cosh [1.1752 3.6269]
"""
from fastbias.pieces.potentials import coupled, deep, factors, separable
from fastbias.pieces.potentials.base import Potential
from fastbias.pieces.potentials.coupled import quadratic, spectral_entropy, squared_lp
from fastbias.pieces.potentials.separable import cosh, entropy, euclidean, hypentropy, power

__all__ = ["Potential", "cosh", "entropy", "euclidean", "hypentropy", "power", "quadratic",
           "spectral_entropy", "squared_lp"]

EXAMPLES: tuple[Potential, ...] = separable.EXAMPLES + coupled.EXAMPLES + factors.EXAMPLES \
    + deep.EXAMPLES
