"""Runs: plans, their memory, Gram space, lanes, sweeps, checkpoints, C callers, and the command line."""
from fastbias.pieces.laws import LAWS
from fastbias.pieces.methods import Method
from fastbias.running.tried import of_method

LAWS[Method] = of_method              # a method is tried by a run, which the floor of the laws knows nothing of
