"""fastbias.h, as a command writes it: a C program is compiled against it, and runs a plan to the same bits."""
import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap

import numpy as np
import pytest

import fastbias as fb
from fastbias.running import cli
from fastbias.running.c_header import header
from fastbias.running.capi import ARGUMENTS, KINDS
from tests.helpers import JIT, ROOT

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None or not JIT, reason="no C compiler, or Numba's is off")
X, y = fb.data.random_regression(4, 6, rng=0, positive=True)

PROGRAM = r"""
#include <string.h>
#include "fastbias.h"
/* Ten updates at a time, as a host program would between other work, asked of the slots by name. */
int64_t drive(fastbias_descend descend, const fastbias_call *call, int64_t until_step, int64_t *seen)
{
    int64_t status = FASTBIAS_STATUS_OK;
    while (status == FASTBIAS_STATUS_OK && call->control[FASTBIAS_SLOT_DONE] < until_step) {
        int64_t next = call->control[FASTBIAS_SLOT_DONE] + 10;
        status = fastbias_run(descend, call, next < until_step ? next : until_step, -INFINITY);
    }
    seen[0] = call->control[FASTBIAS_SLOT_ROW];
    seen[1] = FASTBIAS_SLOT_COUNT;
    seen[2] = (int64_t)strlen(fastbias_message(status));
    seen[3] = call->pieces[FASTBIAS_PIECE_RULE];
    seen[4] = call->sizes[FASTBIAS_PARAM_BETA];
    return status;
}
"""


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    (folder / "fastbias.h").write_text(header())
    (folder / "program.c").write_text(PROGRAM)
    subprocess.run([COMPILER, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC", "-o", folder / "program.so",
                    folder / "program.c"], check=True)
    function = ctypes.CDLL(str(folder / "program.so")).drive
    function.restype = ctypes.c_int64
    return function


@needs_compiler
@pytest.mark.parametrize("method", [fb.methods.gradient_descent(0.01, 0.5), fb.methods.mirror_descent("entropy", 0.01)], ids=repr)
def test_a_c_program_runs_a_plan_to_the_same_bits(drive, method):
    plan, whole = (fb.Plan(X, y, loss="squared", method=method) for _ in range(2))
    arguments, kept = fb.capi.arguments(plan, [0, 5, 95])
    call, seen = fb.capi.Call(*arguments), np.zeros(5, np.int64)
    status = drive(ctypes.c_void_p(fb.capi.address()), ctypes.byref(call), ctypes.c_int64(95), ctypes.c_void_p(seen.ctypes.data))
    trace = whole.run(95, record=[0, 5, 95])
    assert (status, plan.t) == (0, 95)
    assert plan.u.tobytes() == whole.u.tobytes()
    assert kept["u"].tobytes() == trace.u.tobytes()
    assert kept["log_loss"].tobytes() == trace.log_loss.tobytes()
    assert seen.tolist() == [3, len(fb.abi.Slot), len(fb.abi.MESSAGES[0]), plan.pieces.rule, plan.params.beta.size]


@needs_compiler
def test_a_bad_argument_is_told_in_words(drive):
    plan = fb.Plan(X, y, loss="squared", method=fb.methods.gradient_descent(0.01))
    arguments, _ = fb.capi.arguments(plan)
    call, seen = fb.capi.Call(*arguments), np.zeros(5, np.int64)
    call.y = None
    assert drive(ctypes.c_void_p(fb.capi.address()), ctypes.byref(call), ctypes.c_int64(9), ctypes.c_void_p(seen.ctypes.data)) == -4
    assert seen[2] >= len(fb.abi.MESSAGES[-4]) - 2


@needs_compiler
def test_the_example_of_the_help_runs(tmp_path, monkeypatch, capsys):
    blocks = [textwrap.dedent(part) for part in re.findall(r"(?:^    .*\n)+", fb.capi.__doc__, re.M)]
    assert len(blocks) == 2
    (tmp_path / "fastbias.h").write_text(header())
    (tmp_path / "own.c").write_text(blocks[0])
    monkeypatch.chdir(tmp_path)
    subprocess.run([COMPILER, "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", "own.so", "own.c"], check=True)
    exec(blocks[1], {})
    status, t = capsys.readouterr().out.split()[:2]
    plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.01))
    assert (int(status), int(t)) == (fb.Status.STALLED, plan.run(10_000).t[-1])


EMBEDDING = r"""
#include <Python.h>
#include "fastbias.h"
static PyObject *value(const char *name)
{
    return PyObject_GetAttrString(PyImport_AddModule("__main__"), name);
}
int main(int argc, char **argv)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    PyConfig_SetBytesString(&config, &config.executable, argv[argc - 1]);
    if (PyStatus_Exception(Py_InitializeFromConfig(&config)))
        return 2;
    PyConfig_Clear(&config);
    if (PyRun_SimpleString(
            "import ctypes\n"
            "import fastbias as fb\n"
            "plan = fb.Plan([[1, 2]], [1], loss='squared', method=fb.methods.gradient_descent(0.01))\n"
            "arguments, held = fb.capi.arguments(plan, [0, 100])\n"
            "call = fb.capi.Call(*arguments)\n"
            "loop, place = fb.capi.address(), ctypes.addressof(call)\n"))
        return 3;
    fastbias_descend loop = (fastbias_descend)PyLong_AsVoidPtr(value("loop"));
    fastbias_call *call = PyLong_AsVoidPtr(value("place"));
    int64_t status = fastbias_run(loop, call, 100, -INFINITY);
    printf("%d %d %.17g\n", (int)status, (int)call->control[FASTBIAS_SLOT_DONE], call->u[0]);
    return Py_FinalizeEx();
}
"""


@needs_compiler
@pytest.mark.skipif(sysconfig.get_config_var("Py_ENABLE_SHARED") != 1 or sys.platform != "linux", reason="no libpython to link with")
def test_a_main_of_its_own_gets_the_loop_as_the_help_says(tmp_path):
    for word in ("main()", "executable", "PyConfig", "addressof(call)", "compiles"):
        assert word in fb.capi.__doc__, word
    include, folder = sysconfig.get_path("include"), sysconfig.get_config_var("LIBDIR")
    if not os.path.exists(os.path.join(include, "Python.h")):
        pytest.skip("no Python.h")
    (tmp_path / "fastbias.h").write_text(header())
    (tmp_path / "main.c").write_text(EMBEDDING)
    library = f"python{sysconfig.get_config_var('LDVERSION')}"
    subprocess.run([COMPILER, "-std=c99", f"-I{include}", "-o", tmp_path / "main", tmp_path / "main.c", f"-L{folder}",
                    f"-Wl,-rpath,{folder}", f"-l{library}"], check=True)
    done = subprocess.run([tmp_path / "main", sys.executable], capture_output=True, text=True, check=True)
    plan = fb.Plan([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.01))
    status, t, first = done.stdout.split()
    assert (int(status), int(t), float(first)) == (0, 100, plan.run(100).u[-1][0])


@needs_compiler
def test_each_argument_is_told_by_the_number_that_the_header_says():
    """What is bad is named by its place among the arguments of descend, and by C's own names in the header."""
    told = re.search(r"or what is bad: (.*?) \*/", header(), re.S)[1].split(";")
    blamed = {name: int(number) for number, names in (part.split(":") for part in told)
              for name in re.findall(r"\w+", names.replace(" or ", " "))}
    names = [name for name, _, _ in ARGUMENTS]
    assert list(blamed) == [*names, "stop_at", "until"]
    plan = fb.Plan(X, y, loss="squared", method=fb.methods.gradient_descent(0.01))
    loop = ctypes.CFUNCTYPE(ctypes.c_int64, *(KINDS[kind] for _, kind, _ in ARGUMENTS), ctypes.c_int64, ctypes.c_double)(
        fb.capi.address())
    given, held = fb.capi.arguments(plan, [0, 5])
    assert "order" in names
    for at, name in enumerate(names):
        if name in ("order", "kept"):                                   # unused here
            continue
        kind = ARGUMENTS[at][1]
        bad = ctypes.c_int64(-1) if kind == "int64_t" else ctypes.c_void_p(None)
        assert loop(*given[:at], bad, *given[at + 1:], 9, -np.inf) == blamed[name], name
    assert loop(*given, -1, -np.inf) == blamed["stop_at"]
    assert loop(*given, 9, np.nan) == blamed["until"]
    assert held["steps"].tolist() == [0, 5]


def test_counts_are_those_of_the_engine():
    """Wherever the header says how many there are, and in messages: what it counts is defined once."""
    text = " ".join(header().replace("*/", " ").split())
    counts = {"pieces": len(fb.abi.Pieces._fields), "control": len(fb.abi.Slot), "sizes": len(fb.abi.Params._fields) - 1}
    for name, count in counts.items():
        found = re.findall(rf"\*{name}[,;] +/\* \((\d+)\)", text)
        assert found == [str(count)] * 2, name                          # in the prototype and in the struct
    assert f"{counts['sizes']} vectors end to end" in text
    assert f"must be {counts['sizes']} vectors" in fb.abi.MESSAGES[-2]
    assert f"must be {counts['pieces']} addresses" in fb.abi.MESSAGES[-1]
    for name in ("FASTBIAS_SLOT_COUNT", "FASTBIAS_WEIGHTED"):
        assert name in text
    slots = {int(n) for n in re.findall(r"control\[(\d+)\]", text)}
    assert slots == {fb.abi.Slot[x] for x in ("BATCH", "OUTPUTS", "WEIGH", "BURST", "FILLED")}
    assert "1e300" not in fb.capi.__doc__
    for told in (text, fb.capi.__doc__):
        assert re.search(r"-INFINITY never stops[,;] any other number costs log L at each\s+update", " ".join(told.split()))


@pytest.mark.parametrize("place", [fb.abi.Pieces, fb.abi.Params, fb.descend, fb.capi.arguments], ids=lambda x: x.__name__)
def test_no_docstring_types_a_count(place):
    assert not re.search(r"\b(sixteen|eight|nine|16|22|23)\b", place.__doc__, re.I)


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_it_compiles_as_cpp(tmp_path):
    (tmp_path / "fastbias.h").write_text(header())
    (tmp_path / "x.cpp").write_text('#include "fastbias.h"\n#include "fastbias.h"\nint main() { return FASTBIAS_STATUS_OK; }\n')
    subprocess.run([shutil.which("c++"), "-Wall", "-Werror", "-c", "-o", tmp_path / "x.o", tmp_path / "x.cpp"], check=True)


def test_numbers_names_and_comments_are_those_of_the_engine(capsys):
    assert cli.main(["header"]) == 0
    text = capsys.readouterr().out
    assert text == header()
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 101
    for prefix, members in (("SLOT", fb.abi.Slot), ("STATUS", fb.Status)):
        found = dict(re.findall(rf"FASTBIAS_{prefix}_(\w+) = (\d+),", text))
        found.pop("COUNT", None)
        assert {name: int(number) for name, number in found.items()} == {x.name: int(x) for x in members}
    for line in re.findall(r"^    FASTBIAS_\w+ = \d+,.*", text, re.M):
        assert "/*" in line, line                                       # each has a comment
    for line in re.findall(r"^    (?:int64_t|double) [^(),]*;.*", text, re.M):
        assert "/*" in line, line
    for status, told in fb.abi.MESSAGES.items():
        assert f"case {int(status)}:" in text
        assert told.split(":")[0].encode("ascii", "ignore").decode()[:20] in text
    assert "updates done" in text
    assert "how the method goes in bursts" in text                      # a comment that stands above its slot


@needs_compiler
def test_the_page_on_c_callers_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "c.md").read_text(), re.S)
    assert [kind for kind, _ in blocks] == ["sh", "c", "sh", "python"]
    monkeypatch.chdir(tmp_path)
    assert cli.main(blocks[0][1].split()[1:2]) == 0
    (tmp_path / "fastbias.h").write_text(capsys.readouterr().out)
    (tmp_path / "drive.c").write_text(blocks[1][1])
    subprocess.run([COMPILER, "-Wall", "-Wextra", "-Werror", *blocks[2][1].split()[1:]], check=True)
    exec(compile(blocks[3][1], "drive.py", "exec"), {"__name__": "drive"})
    status, t, *u = capsys.readouterr().out.replace("[", " ").split()[:4]
    assert (status, t) == ("0", "100")
    whole = fb.run([[1, 2]], [1], loss="squared", method=fb.methods.gradient_descent(0.01), steps=100).w[-1]
    assert whole == pytest.approx([0.2, 0.4], rel=1e-2)
    assert float(u[0]) == pytest.approx(whole[0], rel=1e-7)
