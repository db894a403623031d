"""Whether the pieces of a run go with the numbers and the memory that they are handed."""
from __future__ import annotations

from typing import Any

import numpy as np

from fastbias.engine.abi import VECTORS, Pieces
from fastbias.engine.noise import COUNT, OWN

__all__ = ["misfit"]

_SLOTS = ("SLOPE", "LOG_LOSS", "MAP", "MAP_AT", "RULE", "SAMPLE", "DIRECTION", "ADVANCE",
          "MAP", "VALUE", "MAP", "MAP", "MAP_AT", "DIRECTION", "MAP", "VALUE")
# which vector of Params each of `Pieces` is handed: behind them those of a point, and of its norm
_OWN = (0, 0, 1, 1, 2, 3, 4, 4, 5, 5, 5, 5, 5, 9, 10, 10)


def misfit(pieces: Any, params: Any, sizes: tuple[int, ...]) -> tuple[int, str] | None:
    """The first of the pieces (None: not known) of another signature (1), handed too few params (2)
    or too small buffers (5), with the name of its slot in `Pieces`.

    ``sizes``: N, d, n, K (or −K, as in control), rows of state, scratch, batch (0: all samples).
    """
    N, d, n, K, rows, scratch, batch = sizes
    seen, square, w = batch or N, (n, n), max(1, abs(K)) * d
    p, y = max(1, abs(K)) * seen, max(1, -K) * seen
    handed = ((p, y, p), (p, y), (n, w), (n, w, n), (),
              (2 * N + 1, batch), (n, rows), (n, rows, scratch), square, (n,), square, square,
              (n, n, n), (n, rows), square, (n,))
    owned = (*params[:VECTORS], None, *_of_point(params[3]))
    for slot, piece, kind, own, vectors in zip(Pieces._fields, pieces, _SLOTS, _OWN, handed,
                                               strict=True):
        if piece is None:
            continue
        if piece.kind != kind:
            return 1, slot
        asked = piece.needs != 0 and owned[own] is not None \
            and not (slot == "sample" and batch == 0)
        if asked and not piece.fits(owned[own], *vectors):
            # (it may be the buffers that are too small)
            roomy = (n, 1 << 60, 1 << 60)[:len(vectors)]
            small = slot in ("direction", "advance") and piece.fits(owned[own], *roomy)
            return 5 if small else 2, slot
    return None


def _of_point(sample: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The numbers of a point piece and of its norm; None where there are none (then there is no
    point, or what wants one is refused).
    """
    if sample.size < OWN or not 0 <= sample[COUNT] <= sample.size - OWN:
        return None, None
    end = OWN + int(sample[COUNT])
    return sample[OWN:end], sample[end:]
