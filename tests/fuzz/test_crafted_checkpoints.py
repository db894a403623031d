"""Checkpoints that somebody crafted, with a digest that fits: each is refused in one sentence, or runs. No child dies."""
import os

import pytest
from crafted import children

SEED = int(os.environ.get("FASTBIAS_SEED", "0"))


def hold(seed, count):
    wrong, refused = children(seed, count)
    print(f"{count} crafted checkpoints from number {seed} on: {refused} refused, {len(wrong)} wrong")
    assert not wrong, "python tests/fuzz/crafted.py NUMBER 1\n" + "\n".join(wrong)
    assert refused > count / 2


@pytest.mark.long
def test_500_crafted_checkpoints():
    hold(SEED, 500)


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(10))
def test_10000_crafted_checkpoints(part):
    hold(SEED + 1000 * part, 1000)
