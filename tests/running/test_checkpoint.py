"""Checkpoints: going on is bitwise one long run; what is broken is refused; what stood there before survives."""
import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import fastbias as fb
from tests.helpers import ROOT
from tests.helpers.marks import slow

m = fb.methods
X, y = fb.data.random_regression(3, 4, rng=0, positive=True)
ETA = 0.01
SIMPLEX = ([[1, 1, 1, 1]], [1])
METHODS = {
    "gd": lambda: m.gradient_descent(ETA, 0.5, [0.1, 0.2]),
    "sgd": lambda: m.gradient_descent(ETA / 2, batch=2, rng=3),
    "epochs": lambda: m.gradient_descent(fb.steps.power(ETA, 0.3), batch=2, replace=False, rng=np.random.default_rng(5)),
    "mirror": lambda: m.mirror_descent("entropy", ETA, dual_momentum=0.5),
    "primal": lambda: m.mirror_descent(fb.potentials.hypentropy(0.5), ETA, primal_momentum=0.2),
    "simplex": lambda: m.mirror_descent(fb.potentials.entropy, ETA, constraint=SIMPLEX),
    "natural": lambda: m.natural_gradient(fb.potentials.quadratic(np.diag([1.0, 2, 3, 4])), ETA),
    "steepest": lambda: m.steepest_descent(fb.norms.lp(1.5), np.array([ETA, ETA / 2])),
    "group": lambda: m.steepest_descent(fb.norms.group([[0, 1], [3, 2]]), ETA, normalised=True),
    "coordinate": lambda: m.coordinate_descent(ETA, "random", rng=7),
    "stagewise": lambda: m.stagewise(0.01),
}


def plan(name="gd", loss="squared"):
    return fb.Plan(X, y, loss=loss, method=METHODS[name]())


@pytest.mark.parametrize("name", METHODS)
def test_a_loaded_plan_goes_on_bit_for_bit(name, tmp_path):
    whole, part = plan(name), plan(name)
    whole.run(57)
    part.run(20)
    part.save(tmp_path / "p.npz")
    back = fb.Plan.load(tmp_path / "p.npz")
    assert back.t == 20
    assert (back.trace.t == part.trace.t).all()
    assert (back.trace.w == part.trace.w).all()
    assert back.trace.message == part.trace.message
    assert repr(back) == repr(part)
    back.run(37)
    assert back.u.tobytes() == whole.u.tobytes()
    for a, b in zip(back.buffers[:3], whole.buffers[:3], strict=True):
        assert a.tobytes() == b.tobytes()


def test_losses_and_shapes_come_back(tmp_path):
    for loss in (fb.losses.huber(0.7), fb.losses.truncated_squared(3)):
        p = plan(loss=loss)
        p.save(tmp_path / "p.npz")
        assert fb.Plan.load(tmp_path / "p.npz").problem.loss.params == loss.params
    A = np.array([[[1.0, 0.5], [0.5, 2.0]]])
    p = fb.Plan(A, [1.0], loss="squared", method=m.mirror_descent(fb.potentials.spectral_entropy(2), 0.01))
    p.run(5)
    p.save(tmp_path / "p.npz")
    back = fb.Plan.load(tmp_path / "p.npz")
    assert back.trace.w.shape[1:] == (2, 2)
    assert back.run(5).w.tobytes() == p.run(5).w.tobytes()


def test_a_run_that_ended_is_ended_after_loading(tmp_path):
    p = fb.Plan([[1, 2]], [1], loss="squared", method=m.natural_gradient("entropy", 0.125))
    trace = p.run(5, strict=False, checkpoint=tmp_path / "p.npz")
    back = fb.Plan.load(tmp_path / "p.npz")
    assert back.status == trace.status == fb.Status.OUT_OF_DOMAIN
    assert back.trace.message == trace.message
    with pytest.raises(fb.RunStopped):
        back.run(1)


def test_checkpoints_are_written_while_running_and_however_it_ends(tmp_path):
    path = tmp_path / "p.npz"
    seen = []

    def look(p):
        if path.exists():
            seen.append(fb.Plan.load(path).t)
        if len(seen) >= 3:
            raise KeyboardInterrupt

    p = fb.Plan(X, y, loss="squared", method=m.gradient_descent(fb.steps.power(1e-9, 0.1)))
    with pytest.raises(KeyboardInterrupt):
        p.run(10**9, callback=look, checkpoint=path, every=1e-6)
    assert seen == sorted(seen)
    assert fb.Plan.load(path).t == p.t > seen[-1]
    assert fb.Plan.load(str(path) + ".previous").t < p.t
    assert "KeyboardInterrupt" in fb.Plan.load(path).trace.message
    with pytest.raises(ValueError, match="folder that exists"):
        p.run(1, checkpoint=tmp_path / "nowhere" / "p.npz")
    with pytest.raises(ValueError, match="every must be"):
        p.run(1, checkpoint=path, every=0)
    with pytest.raises(OSError, match="nothing"):
        fb.Plan.load(tmp_path / "nothing.npz")


def test_users_own_pieces_are_asked_for_again(tmp_path):
    own = fb.norms.Norm("own", fb.norms.l2.steepest, fb.norms.l2.dual_norm, fb.norms.l2.norm, params=[1.0, 2.0])
    p = fb.Plan(X, y, loss="squared", method=m.steepest_descent(own, ETA))
    p.run(10)
    p.save(tmp_path / "p.npz")
    with pytest.raises(TypeError, match="method must be given again"):
        fb.Plan.load(tmp_path / "p.npz")
    back = fb.Plan.load(tmp_path / "p.npz", method=m.steepest_descent(own, ETA))
    assert back.run(10).u.tobytes() == p.run(10).u.tobytes()
    with pytest.raises(ValueError, match="their parameters differ"):
        fb.Plan.load(tmp_path / "p.npz", method=m.steepest_descent(own, ETA * 2))


def small(tmp_path):
    path = tmp_path / "p.npz"
    p = fb.Plan([[1.0, 2.0]], [1.0], loss="squared", method=m.gradient_descent(0.1))
    p.run(2, record=2)
    p.save(path)
    return path


def refused(path, raw):
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="unbroken checkpoint"):
        fb.Plan.load(path)


def test_flipped_bits_and_truncations_are_refused_and_the_one_before_is_named(tmp_path):
    path = small(tmp_path)
    fb.Plan.load(path).save(path)
    raw = path.read_bytes()
    rng = np.random.default_rng(0)
    for bit in [*rng.integers(0, 8 * len(raw), 60), 0, 8 * len(raw) - 1]:
        broken = bytearray(raw)
        broken[bit // 8] ^= 1 << (bit % 8)
        refused(path, bytes(broken))
    for length in [0, 1, 63, 64, 85, 86, len(raw) // 2, len(raw) - 1]:
        refused(path, raw[:length])
    refused(path, raw + b"\0")
    with pytest.raises(ValueError, match=r"the one before it is .*p\.npz\.previous"):
        fb.Plan.load(path)
    assert fb.Plan.load(str(path) + ".previous").t == 2


def test_a_failing_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = small(tmp_path)
    raw = path.read_bytes()
    for name in ("fsync", "link", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                plan().save(path)
        assert path.read_bytes() == raw
        assert fb.Plan.load(path).t == 2
    (tmp_path / "p.npz.link").write_text("left over")
    plan().save(path)
    assert fb.Plan.load(path).t == 0


def test_a_checkpoint_is_a_plain_npz_without_pickle(tmp_path):
    with np.load(small(tmp_path), allow_pickle=False) as file:
        assert {"X", "y", "u", "state", "control", "about"} <= set(file.files)
        assert all(file[name].dtype.kind in "fiu" for name in file.files)


def test_a_checkpoint_of_another_format_is_refused(tmp_path, monkeypatch):
    from fastbias.running import checkpoint
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    path = small(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format 3, got format 99"):
        fb.Plan.load(path)


CHILD = textwrap.dedent("""
    import sys
    sys.path.insert(0, {root!r})
    import fastbias as fb
    from tests.running.test_checkpoint import METHODS, X, y
    path, name = sys.argv[1:]
    try:
        plan = fb.Plan.load(path)
    except FileNotFoundError:
        plan = fb.Plan(X, y, loss="squared", method=METHODS[name]())
    print("ready", flush=True)
    while True:
        plan.run(2000, record=2, checkpoint=path, every=1e-3)
""").format(root=str(ROOT))


def killed(path, name, after, sure=False):
    """Start or go on with a run elsewhere and kill -9 it `after` seconds later (sure: after its first checkpoint)."""
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path), name], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        patience = time.monotonic() + 60 * sure
        while not path.exists() and time.monotonic() < patience:
            time.sleep(0.001)
        time.sleep(after)
        process.kill()


def resumed_equals_uninterrupted(path, name):
    if not path.exists():
        return 0
    back, whole = fb.Plan.load(path), plan(name)
    steps = back.t + 10
    back.run(10)
    whole.run(steps)
    assert back.t == whole.t or whole.status == fb.Status.STALLED
    assert back.u.tobytes() == whole.u.tobytes(), name
    return steps


@pytest.mark.long
@pytest.mark.parametrize("name", ["epochs", *slow("simplex", "gd")])
def test_kill_minus_nine_loses_no_bit(name, tmp_path):
    path = tmp_path / "p.npz"
    for after in (0.05, 0.021):
        killed(path, name, after, sure=True)
    assert resumed_equals_uninterrupted(path, name) > 0


@pytest.mark.exhaustive
def test_200_kills_over_all_methods(tmp_path):
    rng = np.random.default_rng(0)
    total = 0
    for i in range(200):
        name = list(METHODS)[i % len(METHODS)]
        path = tmp_path / f"{i}.npz"
        killed(path, name, rng.uniform(0.0, 0.15))
        total += resumed_equals_uninterrupted(path, name) > 0
    print(f"{total} of 200 killed runs had a checkpoint, and every one of them went on bit for bit")
    assert total > 150


@pytest.mark.exhaustive
def test_every_bit_flip_and_every_truncation_is_refused(tmp_path):
    path = small(tmp_path)
    raw = path.read_bytes()
    for bit in range(8 * len(raw)):
        broken = bytearray(raw)
        broken[bit // 8] ^= 1 << (bit % 8)
        refused(path, bytes(broken))
    for length in range(len(raw)):
        refused(path, raw[:length])
    print(f"{8 * len(raw)} single-bit flips and {len(raw)} truncations refused")




def test_what_the_caller_does_to_his_arrays_afterwards_does_not_matter(tmp_path):
    eta, D = np.array([0.01, 0.02, 0.03]), np.diag([1.0, 2, 3, 4])
    groups = iter([[0, 1], [2, 3]])
    for method in (m.gradient_descent(eta), m.mirror_descent(fb.potentials.quadratic(D), 0.01),
                   m.steepest_descent(fb.norms.group(groups), 0.01)):
        p = fb.Plan(X, y, loss="squared", method=method)
        p.run(10)
        eta[:] = 7
        D[:] = 7
        p.save(tmp_path / "p.npz")
        assert fb.Plan.load(tmp_path / "p.npz").run(5).u.tobytes() == p.run(5).u.tobytes()


def test_paths_are_checked_before_the_run(tmp_path):
    for bad, error in ((123, TypeError), (b"x", TypeError), (tmp_path, ValueError)):
        with pytest.raises(error, match="checkpoint must"):
            plan().run(1, checkpoint=bad)
        with pytest.raises(error, match="path must"):
            plan().save(bad)
