"""Models w = F(u): the parameters u that the method moves, and the linear predictor w that the theorems speak of.

A model is two compiled pieces: ``forward(params, u, out)`` writes w = F(u); ``pullback(params, u, v, out)`` writes
F'(u)ᵀ v. To add one: write the two, put them into a `Model`, list it in its file's ``EXAMPLES``.
"""
from fastbias.models import base, circular, entrywise, matrices, rectified
from fastbias.models.base import Model, linear
from fastbias.models.circular import convolutional
from fastbias.models.entrywise import diagonal
from fastbias.models.matrices import deep_linear, factorised, symmetric
from fastbias.models.rectified import relu

__all__ = ["Model", "convolutional", "deep_linear", "diagonal", "factorised", "linear", "relu", "symmetric"]

EXAMPLES: tuple[Model, ...] = (base.EXAMPLES + entrywise.EXAMPLES + matrices.EXAMPLES + circular.EXAMPLES
                               + rectified.EXAMPLES)
