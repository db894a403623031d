"""The compiled loop as WebAssembly goes where the portable build of this machine goes, bit for bit: more than a
hundred plans in Node.
"""
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import JIT

ROOT = Path(__file__).resolve().parents[2]
LIVE, HERE = ROOT / "docs" / "live", Path(__file__).resolve().parent
NODE = shutil.which("node")
ROUNDING = 1e-13                                          # what sums in another order may be off by

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NODE is None, reason="no Node"),
    pytest.mark.skipif(not JIT, reason="Numba is off"),
    pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="no ziglang: pip install 'fastbias[web]'")]


def python(code, *arguments):
    return subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(LIVE)!r}); {code}", *arguments],
                          check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def folder():
    return Path(python("import make; print(make.module())").strip().splitlines()[-1])


@pytest.fixture(scope="module")
def results(folder, tmp_path_factory):
    cases = tmp_path_factory.mktemp("live") / "cases.json"
    python("import portable; from pathlib import Path; portable.run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])",
           str(folder), str(HERE / "cases.py"), str(cases))
    out = subprocess.run([NODE, str(HERE / "compare.js"), str(folder), str(cases)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def test_a_hundred_plans_end_with_the_same_bits(results):
    exact = [case for case in results if not case.get("any")]
    assert len(exact) >= 100
    assert [case for case in exact if set(case["same"].values()) != {True}] == []


def test_batches_are_the_same_to_rounding(results):
    """Their sums LLVM may reorder (`_batch_margins`), and does so for each machine as it likes."""
    batches = [case for case in results if case.get("any")]
    assert len(batches) >= 4
    assert [case for case in batches if not (case["same"]["status"] and case["gap"] < ROUNDING)] == []


def test_plans_go_in_bursts_and_by_pieces_of_many_kinds(results):
    assert len({(case["burst"], case["weigh"]) for case in results}) >= 12


def test_the_module_imports_nothing(folder):
    said = subprocess.run([NODE, "-e", "console.log(WebAssembly.Module.imports(new WebAssembly.Module("
                           "require('fs').readFileSync(process.argv[1]))).length)", str(folder / "fastbias.wasm")],
                          check=True, capture_output=True, text=True).stdout
    assert said.strip() == "0"


@pytest.mark.parametrize(("line", "told"), [
    ("  call void @llvm.x86.sse2.lfence()", "calls llvm.x86.sse2.lfence"),
    ("  %1 = getelementptr inbounds { ptr, i64 }, ptr %0, i64 0, i32 1", "a place in a structure of pointers"),
])
def test_what_the_build_does_not_know_stops_it(line, told):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        python("import wasm; wasm._checked('piece', sys.argv[1])", line)
    assert told in failed.value.stderr
    python("import wasm; wasm._checked('piece', sys.argv[1])", "  %1 = getelementptr i8, ptr %0, i64 8")
