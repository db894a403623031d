"""Every save under faults: the N-th operation on the disk fails (ENOSPC, EIO) or kills, for N = 1, 2, … until none fires.

Afterwards the file is the old one or the new one, whole; nothing lies beside it; and the run's memory is what it was.
"""
import errno
import os
import pickle
import warnings

import numpy as np
import pytest

import fastbias as fb
from fastbias.running import cli
from tests.fuzz.faults import faults, in_a_child

ETA = 1e-3
FAR = 40                                                  # more operations than any save has


def plan(done=0):
    made = fb.Plan([[1.0, 2.0], [0.5, 1.0]], [1.0, 2.0], loss="squared", method=fb.methods.gradient_descent(ETA, 0.5))
    if done:
        made.run(done, record=2)
    return made


def trace(done):
    return plan(done).trace


class OfPlan:
    """Plan.save: what is whole is a plan at t = 5 (old) or t = 9 (new)."""

    def old(self, path):
        plan(5).save(path)

    def new(self, path):
        plan(9).save(path)

    def t(self, path):
        return fb.Plan.load(path).t


class OfTrace(OfPlan):
    def old(self, path):
        trace(5).save(path)

    def new(self, path):
        trace(9).save(path)

    def t(self, path):
        return int(fb.Trace.load(path).t[-1])


class OfCommand(OfTrace):
    """--out of the command line: the answer is 0, or 2 with one sentence."""

    def new(self, path):
        table = path.parent.parent / "table.csv"
        if cli.main(["run", str(table), "--loss", "squared", "--method", "gradient", "--step-size", "0.001", "--steps", "9",
                     "--quiet", "--out", str(path)]):
            raise OSError("told")


SAVES = {"plan": OfPlan, "trace": OfTrace, "command": OfCommand}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "table.csv").write_text("a,b,y\n1,2,1\n0.5,1,2\n")
    folder = tmp_path / "place"
    folder.mkdir()
    return folder / "file.npz"


def whole(save, path, existed):
    """Whether what is at the path is old or new, and is there if it was."""
    if not existed and not path.exists():
        return True
    previous = path.with_name(path.name + ".previous")
    return save.t(path) in ((5, 9) if existed else (9,)) and (not previous.exists() or save.t(previous) == 5)


def clean(path):
    return {p.name for p in path.parent.iterdir()} <= {path.name, path.name + ".previous"}


@pytest.mark.parametrize("no_links", [None, errno.EPERM])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("name", SAVES)
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(name, existed, code, no_links, place, capsys):
    save = SAVES[name]()
    for n in range(1, FAR):
        place.unlink(missing_ok=True)
        if existed:
            save.old(place)
        told = False
        with faults(n, code, no_links=no_links) as machine:
            try:
                save.new(place)
            except OSError:
                told = True
        assert whole(save, place, existed), n
        assert clean(place), n
        if not machine.fired:
            assert save.t(place) == 9
            assert not told
            return
        assert told or save.t(place) == 9, n              # (what is of no account may fail: the mode of a file)
    raise AssertionError("it never ends")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("name", ["plan", "trace"])
def test_a_save_that_is_killed_leaves_the_old_file_or_the_new_one(name, existed, after, place):
    save = SAVES[name]()
    for n in range(1, FAR):
        place.unlink(missing_ok=True)
        if existed:
            save.old(place)

        def work(n=n):
            with faults(n, None, after):
                save.new(place)
        code = in_a_child(work)
        assert whole(save, place, existed), n
        if code == 0:
            assert save.t(place) == 9
            return
        assert code == 9, n
    raise AssertionError("it never ends")


def test_a_save_beside_what_a_killed_one_left_behind(place):
    plan(5).save(place)
    for n in (2, 3):
        def work(n=n):
            with faults(n, None, True):
                plan(9).save(place)
        in_a_child(work)
    plan(7).save(place)
    assert fb.Plan.load(place).t == 7
    assert fb.Plan.load(str(place) + ".previous").t == 5


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_run_goes_on_where_one_save_fails(code, place):
    """Saves at each look: the first one that fails is warned of, and if it was the last, its error comes at the end."""
    goal = plan()
    goal.run(20, record=2)
    for n in range(1, 400):
        p = plan()
        with faults(n, code) as machine, warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            failed = None
            try:
                p.run(20, record=2, checkpoint=place, every=1e-9)
            except OSError as error:
                failed = error.errno
        assert failed in (None, code)
        assert p.t == 20
        assert p.u.tobytes() == goal.u.tobytes()
        assert p.trace.t.tolist() == [0, 20]
        assert clean(place)
        assert len(told) <= 1
        assert not told or (told[0].category is RuntimeWarning and "the run goes on" in str(told[0].message)
                            and told[0].filename == __file__)
        if not machine.fired:
            assert not told
            assert not failed
            assert n > 10
            return
        if not failed:
            assert fb.Plan.load(place).t == 20
    raise AssertionError("it never ends")


def test_a_disk_that_stays_full_costs_one_warning_and_an_error_at_the_end(place, monkeypatch):
    p = plan(5)
    p.save(place)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(RuntimeWarning, match="could not be written, and the run goes on") as told, \
            pytest.raises(OSError, match="No space left"):
        p.run(400, checkpoint=place, every=1e-9)
    assert len(told) == 1
    assert p.t == p.trace.t[-1] == 405

    def stop(plan):
        raise KeyboardInterrupt
    with warnings.catch_warnings(), pytest.raises(KeyboardInterrupt) as interrupt:
        warnings.simplefilter("ignore")
        p.run(400, checkpoint=place, callback=stop)
    assert "could not be written" in interrupt.value.__notes__[0]
    monkeypatch.undo()
    assert fb.Plan.load(place).t == 5
    assert clean(place)
    p.save(place)
    assert fb.Plan.load(place).run(10).u.tobytes() == pickle.loads(pickle.dumps(p)).run(10).u.tobytes()


def test_an_interrupted_save_leaves_nothing(place, monkeypatch):
    plan(5).save(place)

    def stop(*args):
        raise KeyboardInterrupt
    for name in ("fsync", "link", "replace"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, name, stop)
            plan(9).save(place)
        assert clean(place)
        assert fb.Plan.load(place).t == 5
    assert np.isfinite(fb.Plan.load(place).u).all()
