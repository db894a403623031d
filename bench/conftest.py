"""Sizes marked ``full`` run only where the word is in ``-m``: ``pytest --benchmark-only -m "full or not full"`` runs all."""
import pytest


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.get_closest_marker("full") and "full" not in (config.getoption("-m") or ""):
            item.add_marker(pytest.mark.skip(reason="run by `make bench-full`"))
