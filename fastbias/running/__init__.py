"""Runs: plans, their memory, Gram space, lanes, sweeps, checkpoints, C callers, command line."""
from fastbias.pieces.laws import LAWS
from fastbias.pieces.methods import Method
from fastbias.running.tried import of_method

# a method is tried by a run, which the floor of the laws knows nothing of
LAWS[Method] = of_method
