"""Files that somebody crafted, with a digest that fits: each is refused in one sentence, or read and run."""
import hashlib
import os
import tracemalloc

import numpy as np
import pytest

import fastbias as fb
from tests.fuzz.crafted import PLANS, children
from tests.helpers.marks import slow

SEED = int(os.environ.get("FASTBIAS_SEED", "0"))


def hold(seed, count):
    wrong, refused = children(seed, count)
    print(f"{count} crafted checkpoints from number {seed} on: {refused} refused, {len(wrong)} wrong")
    assert not wrong, "python tests/fuzz/crafted.py NUMBER 1\n" + "\n".join(wrong)
    assert refused > count / 2


@pytest.mark.long
@pytest.mark.parametrize("count", [50, *slow(500)])
def test_crafted_checkpoints(count):
    hold(SEED, count)


def files(folder):
    """Real files, each as its bytes and what reads it."""
    path = folder / "real.npz"
    for name in ("momentum", "gram", "group"):
        plan = PLANS[name]()
        plan.run(5, record=3)
        plan.save(path)
        yield path.read_bytes(), fb.Plan.load
        plan.trace.save(path)
        yield path.read_bytes(), fb.Trace.load
    for save in (np.savez, np.savez_compressed):
        save(path, X=np.ones((5, 4)), y=np.array(["a", "b", "a", "b", "c"]))
        yield path.read_bytes(), lambda path: fb.data.read(path, labels="index")


def damaged(raw, rng):
    """The bytes with some others, most of them in the container's own structures or an array's header; the digest fits."""
    changed, digest = bytearray(raw), 0 if raw[-22:-18] == b"PK\5\6" else 64
    end = len(raw) - digest - 8
    for _ in range(rng.integers(1, 4)):
        mark = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"\x93NUMPY", b"")[rng.integers(5)]
        spots = [i for i in range(end) if mark and raw.startswith(mark, i)] or [int(rng.integers(end))]
        at = min(spots[rng.integers(len(spots))] + int(rng.integers(4, 130 if mark == b"\x93NUMPY" else 50)), end)
        new = [bytes([rng.integers(256)]), bytes([changed[at] ^ 1 << rng.integers(8)]), b"\xff" * 8, b"\0" * 4,
               b"\0\0\0\x80", b"0123456789()'<fO{},:"[(k := rng.integers(19)):k + 1]][rng.integers(6)]
        changed[at:at + len(new)] = new
    if digest:
        changed[-64:] = hashlib.blake2b(changed[:-64], digest_size=32).hexdigest().encode()
    return bytes(changed)


def raw_hold(seed, count, folder):
    real, path, refused = list(files(folder)), folder / "x.npz", 0
    tracemalloc.start()
    try:
        for i in range(seed, seed + count):
            rng = np.random.default_rng(i)
            raw, read = real[rng.integers(len(real))]
            path.write_bytes(damaged(raw, rng))
            told = ""
            try:
                read(path)
            except ValueError as error:
                told = str(error)
            assert told.startswith(("path must", "loss, method and model must")) or not told, i
            assert "\n" not in told, i
            refused += told != ""
            assert tracemalloc.get_traced_memory()[1] < 8e6, i
    finally:
        tracemalloc.stop()
    print(f"{count} damaged files from number {seed} on: {refused} refused")
    assert refused > count / 2


def test_200_damaged_files(tmp_path):
    raw_hold(SEED, 200, tmp_path)


@pytest.mark.exhaustive
def test_5000_damaged_files(tmp_path):
    raw_hold(SEED, 5000, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(10))
def test_10000_crafted_checkpoints(part):
    hold(SEED + 1000 * part, 1000)
