"""What the tests of several folders share: slow twins, small problems, where and how it runs."""
import pathlib

import numba

JIT = not numba.config.DISABLE_JIT
ROOT = pathlib.Path(__file__).parents[2]                   # of the clone: what a child process imports tests from
