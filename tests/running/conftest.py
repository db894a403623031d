"""What tests of several threads set."""
import pytest

from fastbias.engine import driver


@pytest.fixture
def eager(monkeypatch):
    """Helpers for chunks of any length, of any data, all methods that can have them."""
    monkeypatch.setattr(driver, "WORTH", 0)
    monkeypatch.setattr(driver, "PAYS", 0)
    monkeypatch.setattr(driver, "TELLING", -1.0)                         # tried from the second chunk on, and never given up
    monkeypatch.setattr(driver, "GAIN", 0.0)
