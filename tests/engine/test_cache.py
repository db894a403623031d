"""The disk cache: never stale, never in the way, whatever the folder, the machine or the number of processes."""
import os
import pathlib
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest

import fastbias as fb
from fastbias.engine import cache
from tests.helpers import JIT

compiled = pytest.mark.skipif(not JIT, reason="nothing is compiled, so nothing is kept")

PACKAGE = pathlib.Path(fb.__file__).parent

HELPER = """
from fastbias.engine.abi import VALUE, kernel, piece

@kernel
def weight(x):
    return 7.0 * x

LARGE = 5.0
"""
CALLER = """
import sys
import numpy as np
from numba import njit
from fastbias.engine.abi import VALUE, kernel, piece
from fastbias.engine.call import call
from {helper} import weight{more}

@kernel
def outer(x):
    return weight(x) + 1.0

@piece(VALUE)
def value(params, x):
    return {body}

def main():
    print(outer(11.0), call(value, np.empty(0), np.ones(2)))
    print(sum(outer.stats.cache_misses.values()), value._compiled.cache_hits)

if __name__ == "__main__":
    main()
"""
RUN = """
import numba, numba.core.event as e
heard = e.RecordingListener()
e.register("numba:compile", heard)
e.register("numba:run_pass", heard)
import fastbias as fb
plan = fb.Plan([[1, 2], [0, 1]], [1, 2], loss="squared", method=fb.methods.gradient_descent(0.1))
print(plan.run(10).w[-1])
print(len(heard.buffer))
numba.njit(lambda: 1)()
print(len(heard.buffer))
"""
CALL = """
import numpy as np
import fastbias as fb
from fastbias.engine.call import call, _call_value
answer = call(fb.norms.l1.dual_norm, np.empty(0), np.array([1.0, -3.0]))
print(fb.norms.l1.dual_norm._compiled.cache_hits, sum(_call_value.stats.cache_hits.values()), answer)
"""


@pytest.fixture
def home(tmp_path):
    """A copy of the package, without what it has compiled."""
    shutil.copytree(PACKAGE, tmp_path / "fastbias", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def environment(home, **env):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "PYTHONWARNINGS"))}
    return kept | {"PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": str(home / "kept")} | env


def python(home, *arguments, **env):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=home,
                          env=environment(home, **env))
    assert done.returncode == 0, done.stderr
    return done


def answers(home, *arguments, **env):
    """Outer(11), the piece at (1, 1), and whether each came from disk."""
    outer, value, misses, hits = python(home, *arguments, **env).stdout.split()
    return float(outer), float(value), misses == "0" and hits == "1"


@compiled
def test_an_edited_helper_in_another_file_of_the_package_gives_the_new_answer(home):
    helper, caller = home / "fastbias" / "helper.py", home / "fastbias" / "caller.py"
    helper.write_text(HELPER)
    caller.write_text(CALLER.format(helper="fastbias.helper", more="", body="weight(x[0]) + x[1]"))
    assert answers(home, "-m", "fastbias.caller") == (78.0, 8.0, False)
    assert answers(home, "-m", "fastbias.caller") == (78.0, 8.0, True)
    helper.write_text(HELPER.replace("7.0 * x", "x - 1.0"))
    assert answers(home, "-m", "fastbias.caller") == (11.0, 1.0, False)


@compiled
@pytest.mark.slow
def test_a_users_piece_sees_edits_of_their_own_helpers_and_numbers(tmp_path):
    home = tmp_path
    helper, caller, env = home / "helper.py", home / "caller.py", {"PYTHONPATH": f"{home}{os.pathsep}{PACKAGE.parent}"}
    helper.write_text(HELPER)
    text = CALLER.format(helper="helper", more=", LARGE\nimport helper", body="helper.weight(x[0]) + LARGE * x[1]")
    caller.write_text(text)
    assert answers(home, "caller.py", **env) == (78.0, 12.0, False)
    assert answers(home, "caller.py", **env) == (78.0, 12.0, True)
    helper.write_text(HELPER.replace("7.0 * x", "x - 1.0").replace("5.0", "float('6')"))
    assert answers(home, "caller.py", **env) == (11.0, 6.0, False)
    caller.write_text(text.replace("LARGE *", "2.0 * LARGE *"))
    later = ("import caller, pathlib\n"
             "for p, old, new in ('caller.py', '2.0', '3.0'), ('helper.py', '7.0 * x', 'x - 1.0'):\n"
             "    p = pathlib.Path(p)\n    p.write_text(p.read_text().replace(old, new))\ncaller.main()")
    helper.write_text(HELPER)
    assert answers(home, "-c", later, **env)[:2] == (78.0, 17.0)    # compiled after the edits, from what was before
    assert answers(home, "caller.py", **env)[:2] == (11.0, 15.0)


@compiled
def test_a_warm_process_compiles_nothing(tmp_path):
    """Of all that there is to compile, in the folder where these tests' own process keeps it: most often it is there."""
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    first, warm = (python(tmp_path, "-c", RUN, PYTHONPATH=path, NUMBA_CACHE_DIR=os.environ.get("NUMBA_CACHE_DIR", ""))
                   .stdout.split("\n") for _ in range(2))
    assert first[0] == warm[0]
    assert warm[1] == "0"
    assert int(warm[2]) > 0                                      # what is compiled is heard


@compiled
@pytest.mark.slow
def test_three_processes_at_once_then_another_machine_then_damaged_files(tmp_path):
    """What they keep is whole, and kept once; another machine keeps its own beside it; what is damaged is passed over."""
    def run(**env):
        return python(tmp_path, "-c", CALL, PYTHONPATH=str(PACKAGE.parent), **env)

    processes = [subprocess.Popen([sys.executable, "-c", CALL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=environment(tmp_path, PYTHONPATH=str(PACKAGE.parent))) for _ in range(3)]
    told = [p.communicate() for p in processes]
    assert [p.returncode for p in processes] == [0] * 3, told
    assert [(out.split()[-1], error) for out, error in told] == [("3.0", "")] * 3
    assert len([f for f in (tmp_path / "kept").rglob("*") if f.is_file()]) == 2
    assert run(NUMBA_CPU_NAME="generic").stdout == "0 0 3.0\n"
    assert run().stdout == run(NUMBA_CPU_NAME="generic").stdout == "1 1 3.0\n"
    files = [f for f in (tmp_path / "kept").rglob("*") if f.is_file()]
    assert len(files) == 4
    for file in files:                                           # (those that are too short: at every length, below)
        good = file.read_bytes()
        file.write_bytes(good[:-9] + bytes([good[-9] ^ 1]) + good[-8:])
    done = run()
    assert done.stdout == "0 0 3.0\n"
    assert done.stderr == ""
    for file in files:                                           # and where a file cannot be read nor replaced
        file.unlink()
        file.mkdir()
    done = run()
    assert done.stdout == "0 0 3.0\n"
    assert done.stderr.count("Warning") == 1


@compiled
def test_where_nothing_can_be_written_one_warning_says_so_and_all_runs(home):
    for folder in [home / "fastbias", *(f for f in (home / "fastbias").rglob("*") if f.is_dir())]:
        (folder / "__pycache__").touch()                         # a file: no folder can be made there, not even by root
    nowhere = {"NUMBA_CACHE_DIR": "", "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/cache", "LOCALAPPDATA": "/dev/null"}
    done = python(home, "-c", CALL, **nowhere)
    assert done.stdout == "0 0 3.0\n"
    assert done.stderr.count("Warning") == 1
    assert "writable" in done.stderr
    assert "set NUMBA_CACHE_DIR" in done.stderr
    done = python(home, "-c", CALL, **nowhere | {"NUMBA_CACHE_DIR": str(home / "kept")})
    assert done.stderr == ""
    assert list((home / "kept").rglob("call._call_value*.nbc"))
    assert not list((home / "fastbias").rglob("*.nbc"))


@compiled
def test_a_piece_at_a_prompt_needs_no_file_and_nothing_is_said(tmp_path):
    code = ("import numpy as np, fastbias as fb\n@fb.piece(fb.abi.VALUE)\ndef f(params, x): return 3.0\n"
            "from fastbias.engine.call import call\nprint(call(f, np.empty(0), np.ones(2)))")
    done = python(tmp_path, "-c", code, PYTHONPATH=str(PACKAGE.parent))
    assert (done.stdout, done.stderr) == ("3.0\n", "")


@pytest.fixture
def entries(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_said", False)
    return cache._Entries(str(tmp_path / "f-1.py311"), "stamp")


def test_an_entry_is_found_by_its_own_key_and_stamp_alone(entries):
    entries.save(("int64", "zen"), b"code")
    assert entries.load(("int64", "zen")) == b"code"
    path = pathlib.Path(entries._path(("int64", "zen")))
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        assert entries.load(("int64", "zen")) is None
    path.write_bytes(whole)
    other = cache._Entries(entries.base, "other stamp")
    assert other.load(("int64", "zen")) is None
    path.rename(entries._path(("int64", "skylake")))             # another machine's entry under this one's name
    assert entries.load(("int64", "skylake")) is None
    entries.flush()
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("place", ["open", "replace"])
def test_a_full_disk_leaves_nothing_behind_and_is_said_once(entries, place, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    def broken(path, mode):
        file = real(path, mode)
        file.write(b"half")
        file.flush()
        return type("Full", (), {"write": full, "__enter__": lambda self: self, "__exit__": lambda *_: file.close()})()

    real = open
    if place == "open":
        monkeypatch.setattr(cache, "open", broken, raising=False)
    else:
        monkeypatch.setattr(cache.os, "replace", full)
    kept = object.__new__(cache._Cache)
    monkeypatch.setattr(cache.FunctionCache, "save_overload", lambda self, sig, data: entries.save(sig, data))
    with pytest.warns(RuntimeWarning, match=r"must be writable, but writing there failed .*No space left.*NUMBA_CACHE_DIR"):
        kept.save_overload("sig", b"code")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept.save_overload("sig", b"code")
    assert not list(tmp_path.iterdir())


def plain(x):
    return NUMBERS[0] * x + cache.PACKAGE


NUMBERS = (2.0, np.arange(3))


def test_what_a_function_takes_from_elsewhere_is_part_of_its_stamp(monkeypatch):
    two, array, package = cache._frozen(plain)
    assert (two, package) == ("2.0", repr(cache.PACKAGE))
    monkeypatch.setattr(cache, "PACKAGE", "new")
    assert set(cache._frozen(plain)) == {"'new'", "2.0", array}
    monkeypatch.setitem(globals(), "NUMBERS", (2.0, np.arange(3) + 1))
    assert set(cache._frozen(plain)) > {"'new'", "2.0"}
    assert array not in cache._frozen(plain)


def test_a_function_without_a_file_or_a_folder_has_a_cache_that_keeps_nothing(monkeypatch):
    assert isinstance(cache.of(plain), cache._Cache)
    names = {}
    exec("def f(x): return x", names)
    assert isinstance(cache.of(names["f"]), cache.NullCache)
    assert cache._text(names["f"]) != cache._text(names["f"])
    assert "NUMBERS[0]" in cache._text(plain)

    def nowhere(self, function):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(cache.FunctionCache, "__init__", nowhere)
    monkeypatch.setattr(cache, "_said", False)
    with pytest.warns(RuntimeWarning, match="must be writable, but neither .*; set NUMBA_CACHE_DIR to one that is"):
        assert isinstance(cache.of(plain), cache.NullCache)
    monkeypatch.setattr(cache.FunctionCache, "__init__", lambda *_: (_ for _ in ()).throw(RuntimeError("another")))
    with pytest.raises(RuntimeError, match="another"):
        cache.of(plain)


HELPERS = """
from numba import njit
from numba.extending import register_jitable
import numpy as np
SCALE = np.int64({value})
@njit
def compiled(x):
    return x * {value}
@register_jitable
def plain(x):
    return x * {value}
"""
USES = """
import fastbias as fb, numpy as np, helpers
from helpers import SCALE, compiled, plain
@fb.piece(fb.abi.VALUE)
def in_a_comprehension(params, x):
    return sum([compiled(v) for v in x])
@fb.piece(fb.abi.VALUE)
def by_a_plain_function(params, x):
    return plain(x[0])
@fb.piece(fb.abi.VALUE)
def by_a_number(params, x):
    return SCALE * x[0]
from fastbias.engine.call import call
print(*(call(p, np.empty(0), np.ones(1)) for p in (in_a_comprehension, by_a_plain_function, by_a_number)))
"""


@compiled
@pytest.mark.slow
def test_what_users_pieces_take_from_other_files_in_any_way_is_seen(tmp_path):
    (tmp_path / "uses.py").write_text(USES)
    for value in (1.0, 7.0):
        (tmp_path / "helpers.py").write_text(HELPERS.format(value=int(value)))
        path = os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])
        env = dict(os.environ, PYTHONPATH=path, NUMBA_CACHE_DIR=str(tmp_path / "c"))
        made = subprocess.run([sys.executable, str(tmp_path / "uses.py")], env=env, check=True, capture_output=True,
                              text=True)
        assert made.stdout.split() == [str(value)] * 3
