"""Losses ℓ(u, y); the objective is always the SUM over the samples, L(w) = Σ_n ℓ(⟨w, x_n⟩, y_n).

A loss is two compiled pieces. ``slope(params, p, y, q)`` fills q and returns s such that −∂L/∂p =
e^s q; ``log_loss(params, p, y)`` returns log L. To add one: write the two, put them into a `Loss`,
list it in its file's ``EXAMPLES``.

>>> import fastbias as fb
>>> for loss in (fb.losses.exponential, fb.losses.logistic, fb.losses.probit, fb.losses.sigmoid):
...     print(loss.name, loss.kind, round(loss.log([100.0], [1.0]), 6))
exponential monotone -100.0
logistic monotone -100.0
probit monotone -5005.524209
sigmoid monotone -100.0
>>> fb.losses.squared.kind, fb.losses.cross_entropy.classes
('root', True)
"""
from fastbias.pieces.losses import monotone, root
from fastbias.pieces.losses import polynomial as heavy
from fastbias.pieces.losses.base import Loss
from fastbias.pieces.losses.monotone import cross_entropy, exponential, logistic, probit, sigmoid
from fastbias.pieces.losses.polynomial import polynomial
from fastbias.pieces.losses.root import huber, squared, truncated_squared

__all__ = ["Loss", "cross_entropy", "exponential", "huber", "logistic", "polynomial",
           "probit", "sigmoid",
           "squared", "truncated_squared"]

EXAMPLES: tuple[Loss, ...] = root.EXAMPLES + monotone.EXAMPLES + heavy.EXAMPLES
