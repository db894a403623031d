"""Shared by all tests: hypothesis profile, and what a pass without the compiler leaves out."""
import signal

import pytest
from hypothesis import settings

from tests.helpers import JIT

settings.register_profile("fastbias", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("fastbias")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:      # a job that a shell put into the background: Ctrl-C is tested too
    signal.signal(signal.SIGINT, signal.default_int_handler)


# kinds of tests that are left out unless `-m` names them, and where they are run
ELSEWHERE = {"slow": "run by `.ci/run`", "exhaustive": "run by `make exhaustive`"}


def pytest_configure(config):
    config.addinivalue_line("markers", "long: many steps; left out where the compiler is off")


def pytest_collection_modifyitems(config, items):
    asked = config.getoption("-m") or ""
    for item in items:
        if not JIT and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="too many steps without the compiler"))
        for marker, where in ELSEWHERE.items():
            if item.get_closest_marker(marker) and marker not in asked:
                item.add_marker(pytest.mark.skip(reason=where))
