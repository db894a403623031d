"""Marks of single cases."""
import pytest


def slow(*cases):
    """These cases of a parameter, as ones that `make test` leaves out and .ci/run does not."""
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]
