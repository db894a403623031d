"""The door to foreign solvers: what leaves it, and what passes."""
import signal
import subprocess
import sys
import warnings

import llvmlite.binding
import numpy as np
import pytest

from fastbias.checks import foreign
from fastbias.engine import compiled
from tests.helpers import JIT, ROOT


@pytest.fixture
def interruptible():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


def test_an_interrupt_during_an_import_comes_after_it(tmp_path, monkeypatch, interruptible):
    (tmp_path / "slow_to_import.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        foreign.library("slow_to_import")
    assert sys.modules.pop("slow_to_import").whole


class Late:
    """What is interrupted as it goes, where an exception would only be printed."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_nobody_would_hear_of_comes_at_the_end(interruptible):
    done = []
    with pytest.raises(KeyboardInterrupt), foreign.Heard():
        Late()
        done.append("to the end")
    with pytest.raises(KeyboardInterrupt), foreign.Heard():
        Late()
        done.append("fails")
        raise RuntimeError("of a call that was cut short")
    with pytest.raises(KeyboardInterrupt), foreign.Heard():
        signal.raise_signal(signal.SIGINT)
        done.append("never")
    assert done == ["to the end", "fails"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_in_the_bindings_of_llvm_comes_at_the_end(interruptible):
    """Before the line that notes what was freed it would have it freed twice, which aborts the process."""
    done = []
    freeing = compile("signal.raise_signal(signal.SIGINT)\ndone.append('noted')", llvmlite.binding.ffi.__file__, "exec")
    with pytest.raises(KeyboardInterrupt), foreign.Heard():
        exec(freeing, {"signal": signal, "done": done})
        done.append("to the end")
    assert done == ["noted", "to the end"]


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
@pytest.mark.parametrize("where", ["_object_cache_notify", "_object_cache_getbuffer"])
def test_an_interrupt_while_llvm_compiles_is_not_lost(interruptible, monkeypatch, where):
    """It is handled in the first Python that runs then: what LLVM calls with the code that it has made."""
    from numba.core.registry import cpu_target
    engine = cpu_target.target_context.codegen()._engine._ee
    true, places = getattr(engine, where), [where]

    def first(*given):
        if places:
            places.pop()
            signal.raise_signal(signal.SIGINT)
        return true(*given)
    monkeypatch.setattr(engine, where, first)
    for compile_, call in ((compiled.kernel, lambda made: made(2.0)),
                           (lambda f: compiled.callback(f, "float64(float64)"), lambda made: made.ctypes(2.0))):
        def twice(x):
            return 2 * x
        places = [where]
        with pytest.raises(KeyboardInterrupt):
            call(compile_(twice))
        assert places == []
        assert call(compile_(twice)) == 4.0


def test_libraries_that_lie_elsewhere_are_libraries_too():
    """Of another environment's packages, the system's or the user's: not below this interpreter's own folder."""
    code = ("import sys, sysconfig; real = sysconfig.get_path\n"
            "sysconfig.get_path = lambda name, *a, **k: '/nowhere' if 'lib' in name else real(name, *a, **k)\n"
            "import numpy as np; from fastbias.checks import foreign\n"
            "try:\n    with foreign.guarded('this'): np.linalg.cholesky([[-1.0]])\n"
            "except foreign.Unsolved as why: print(why)")
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert shown.startswith("this could not be solved")
