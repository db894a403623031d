"""Shared by all tests: hypothesis profile, and what a pass without the compiler leaves out."""
import signal
from collections import Counter

import pytest
from hypothesis import settings

from tests.helpers import JIT

settings.register_profile("fastbias", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("fastbias")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:      # a job that a shell put into the background: Ctrl-C is tested too
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The first run of a fresh clone compiles the loop, for some tens of seconds. One worker begins with the first of these
# and does that; the others take what only solves, and find the loop compiled when they come to what runs.
FIRST = ["pieces/test_methods.py", "solvers/test_exact.py", "house/test_types.py", "solvers/test_semidefinite.py",
         "fuzz/test_exact_separability.py", "checks/test_sizes.py", "house/test_measure.py",
         "solvers/test_equations.py", "solvers/test_separation.py", "solvers/test_boxes.py", "solvers/test_cones.py",
         "solvers/test_powers.py", "solvers/test_shared.py", "solvers/test_margins.py", "engine/test_cache.py"]
EACH = 3
# kinds of tests that are left out unless `-m` names them, and where they are run
ELSEWHERE = {"slow": "run by `.ci/run`", "exhaustive": "run by `make exhaustive`"}


def pytest_addoption(parser):
    parser.addoption("--third", action="store_true", help="of a test of many cases run a third, not the same of each test: "
                     "for passes that run over again what `make test` has run")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: left out where the compiler is off, where it takes long or adds nothing")


def pytest_collection_modifyitems(config, items):
    rank = {f"tests/{name}": i for i, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(FIRST)))
    asked = config.getoption("-m") or ""
    third = config.getoption("third")
    named = [item.nodeid.partition("[")[0] for item in items]
    cases, seen = Counter(named), Counter()
    for item, name in zip(items, named, strict=True):
        if not JIT and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="too many steps without the compiler"))
        if third and cases[name] >= EACH and (seen[name] + len(name)) % EACH:
            item.add_marker(pytest.mark.skip(reason="another third of its cases is run"))
        seen[name] += 1
        for marker, where in ELSEWHERE.items():
            if item.get_closest_marker(marker) and marker not in asked:
                item.add_marker(pytest.mark.skip(reason=where))
