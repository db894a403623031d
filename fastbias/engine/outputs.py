"""How many predictions and how many targets a sample has, as control says; and so how many samples
there are in y.

Labels are one a sample, whatever it predicts of them. Of numbers each prediction has its own, and
y then stands as the predictions do: output after output.
"""
from __future__ import annotations

from fastbias.engine.abi import OUTPUTS
from fastbias.engine.compiled import kernel

__all__ = ["goals", "outputs", "samples"]


@kernel
def outputs(control):
    """K, the predictions that a sample has."""
    return max(1, abs(control[OUTPUTS]))


@kernel
def goals(control):
    """The targets that it has: 1, or K."""
    return max(1, -control[OUTPUTS])


@kernel
def samples(size, control):
    """How many samples there are in a y of this size; 0 where it is none of whole samples."""
    each = goals(control)
    return size // each if size % each == 0 else 0
