"""The facade's inputs are typed: what a run would refuse, mypy refuses before."""
import os
import subprocess
import sys

import pytest

from tests.house.measure import PACKAGE

CALLS = {
    "fb.Plan([[1.0]], [1], loss=fb.losses.squared, method=fb.methods.gradient_descent(0.1))": "",
    "fb.Plan(1, 2, loss=3, method=4)": 'Argument "loss"',
    "fb.Plan([[1.0]], [1], loss='squared', method='gradient')": 'Argument "method"',
    "fb.run([[1.0]], [1], loss='squared', method=fb.methods.adam(0.1), steps='10')": '"steps"',
    "fb.run([[1.0]], [1], loss='squared', method=fb.methods.adam(0.1), steps=10)": "",
    "fb.max_margin([[1, 2]], [1], norm='l1').margin": "",
    "fb.max_margin([[1, 2]], [1], norm=1)": 'Argument "norm"',
    "fb.max_margin([[1, 2]], [1], norm=fb.potentials.entropy)": 'Argument "norm"',
    "fb.separability([[1, 2]], None)": "Argument 2",
    "fb.minimum_norm([[1, 2]], [1], 2)": "Argument 3",
    "fb.bregman_projection([[1, 2]], [1], fb.norms.l1)": "Argument 3",
    "fb.regularisation_path([[1, 2]], [1], [1.0], loss=2)": 'Argument "loss"',
    "fb.diagnose([[1, 2]], [1], fb.norms.l1)": "Argument 3",
    "fb.sweep(3, steps=10)": "Argument 1",
    "fb.data.read(3)": "Argument 1",
    "fb.data.read('my.csv', target='y', drop='name')": "",
    "fb.Trace.load('run.npz').margin('l2')": "",
    "fb.Trace.load('run.npz').margin(2)": "Argument 1",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What mypy says of each call, by its line."""
    snippet = tmp_path_factory.mktemp("typed") / "snippet.py"
    snippet.write_text("import fastbias as fb\n" + "\n".join(CALLS) + "\n")
    # MYPYPATH: this tree, and not another one that happens to be installed
    done = subprocess.run([sys.executable, "-m", "mypy", "--config-file", "pyproject.toml",
                           str(snippet)],
                          cwd=PACKAGE.parent, env=os.environ | {"MYPYPATH": str(PACKAGE.parent)},
                          capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    lines = [line.split(":", 2) for line in done.stdout.splitlines() if ": error: " in line]
    assert all(path.endswith("snippet.py") for path, *_ in lines), done.stdout
    found = dict.fromkeys(CALLS, "")
    for _, number, text in lines:
        found[list(CALLS)[int(number) - 2]] += text
    return found


@pytest.mark.parametrize("call", CALLS)
def test_mypy_refuses_what_a_run_would(told, call):
    assert CALLS[call] in told[call] if CALLS[call] else not told[call], told
