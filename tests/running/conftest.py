"""What tests of several threads set, and the tables of those of the command line."""
import pytest

from fastbias.engine import driver


@pytest.fixture
def eager(monkeypatch):
    """Helpers for chunks of any length, of any data, all methods that can have them."""
    monkeypatch.setattr(driver, "WORTH", 0)
    monkeypatch.setattr(driver, "PAYS", 0)
    monkeypatch.setattr(driver, "TELLING", -1.0)                         # tried from the second chunk on, and never given up
    monkeypatch.setattr(driver, "GAIN", 0.0)


@pytest.fixture
def table(tmp_path):
    def write(text, name="my.csv"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)
    return write
