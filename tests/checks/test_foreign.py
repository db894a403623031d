"""The door to foreign solvers: what leaves it, and what passes."""
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from fastbias.checks import foreign
from tests.helpers import ROOT


def test_what_a_library_raises_becomes_one_sentence_of_ours():
    with pytest.raises(foreign.Unsolved, match=r"^the factor could not be solved: ") as caught:
        foreign.ask("the factor", "numpy.linalg.cholesky", np.array([[-1.0]]))
    assert isinstance(caught.value, ArithmeticError)
    with pytest.raises(foreign.Unsolved, match="memory"):
        foreign.ask("the array", "numpy.zeros", 2 ** 55)


def test_what_is_not_finite_is_not_asked(capfd):
    with pytest.raises(foreign.Unsolved, match="not finite"):
        foreign.ask("the SVD", "scipy.linalg.svd", np.full((2, 2), np.nan), check_finite=False)
    assert capfd.readouterr() == ("", "")                       # LAPACK would print


def test_own_errors_and_those_of_callbacks_pass():
    def right(t, x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        foreign.ask("the flow", "scipy.integrate.solve_ivp", right, (0, 1), [1.0])
    with pytest.raises(ZeroDivisionError), foreign.guarded("this"):
        1 / 0                                                   # noqa: B018 (raised in this file, not in a library)


def test_warnings_do_not_leak():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with foreign.guarded("that"):
            warnings.warn("loud", stacklevel=1)
            np.log(np.zeros(1))


def test_an_interrupt_during_an_import_comes_after_it(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            foreign.library("slow_to_import")
    finally:
        signal.signal(signal.SIGINT, before)
    assert sys.modules.pop("slow_to_import").whole


def test_libraries_that_lie_elsewhere_are_libraries_too():
    """Of another environment's packages, the system's or the user's: not below this interpreter's own folder."""
    code = ("import sys, sysconfig; real = sysconfig.get_path\n"
            "sysconfig.get_path = lambda name, *a, **k: '/nowhere' if 'lib' in name else real(name, *a, **k)\n"
            "import numpy as np; from fastbias.checks import foreign\n"
            "try:\n    with foreign.guarded('this'): np.linalg.cholesky([[-1.0]])\n"
            "except foreign.Unsolved as why: print(why)")
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert shown.startswith("this could not be solved")
