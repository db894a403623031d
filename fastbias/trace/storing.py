"""Traces elsewhere: in files, as tables of pandas and xarray, and as a few lines."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbias import checks
from fastbias.checks import files
from fastbias.checks.shown import Report, Table, series, vector
from fastbias.checks.sizes import lengths
from fastbias.engine.abi import Status

if TYPE_CHECKING:
    import pandas
    import xarray

    from fastbias.trace.trace import Trace

__all__ = ["frame", "read", "report", "table", "write"]

# what only a fast-forwarded trace has, one without w at each row, and one with a mean of u
EXTRA = ("error_estimate", "log_times", "slack", "least", "averages")
# what is kept of the data of a run
CALLED = ("names", "classes")


def write(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write the rows, and what columns and labels are called, to an NPZ file with a digest."""
    extra = {name: getattr(trace, name) for name in EXTRA if getattr(trace, name) is not None}
    # (lists first: texts of pandas are objects, which only pickle could write)
    extra |= {f"kept_{name}": np.array(list(getattr(trace, name))) for name in CALLED
              if getattr(trace, name) is not None}
    files.write(checks.path("path", path), files.seal(
        {"t": trace.t, "u": trace.u, "w": trace.w, "log_loss": trace.log_loss,
         "status": np.int64(trace.status), "message": np.array(trace.message)} | extra))


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of the trace that `write` wrote, checked: the file may be from anybody."""
    what = "a file that Trace.save wrote"
    kept = files.read(path, what, sealed=False)
    with files.untrusted(f"path must be {what}, got {os.fspath(path)!r}"):
        # without w at each row there are the first and the last
        rows = 2 if "least" in kept else "K"
        w = (rows, "m", "d") if np.ndim(kept.get("w", ())) == 3 else (rows, "d")
        axes = {"slack": ("K", "N"), "averages": ("K", "n")}
        extra = {name: ("f8", axes.get(name, ("K",))) for name in EXTRA if name in kept}
        # (which files of earlier versions have not)
        called = {"kept_names": ("U", ("d",)), "kept_classes": ("b i u f U", ("C",))}
        extra |= {name: called[name] for name in called if name in kept}
        files.expect(kept, {"t": ("i8 f8", ("K",)), "u": ("f8", (rows, "n")), "w": ("f8", w),
                            "log_loss": ("f8", ("K",)), "status": ("i8", ()),
                            "message": ("U", ()), **extra})
        for name in ("t", "u", "w"):
            if not kept[name].size or not np.isfinite(kept[name]).all():
                raise ValueError(f"{name} must be finite and not empty")
        for name in called.keys() & kept.keys():
            if len({*kept[name].tolist()}) != kept[name].size:
                raise ValueError(f"{name} must be different")
        _in_order(kept["t"], kept.get("log_times"))
        fields = kept | {"status": Status(int(kept["status"])), "message": str(kept["message"])}
        if "kept_names" in kept:
            fields["kept_names"] = tuple(kept["kept_names"].tolist())
        return fields


def _in_order(t: np.ndarray, log_times: np.ndarray | None) -> None:
    """Raise ValueError unless the clock of a trace, t or log t, goes on."""
    clock = t if log_times is None else log_times
    # t is −1 where it left int64; then log t tells, which is under 0 before t = 1
    before = log_times is None and clock[0] < 0
    if before or not (np.diff(clock) >= 0).all() or not clock[-1] < np.inf:
        raise ValueError("its rows must be in the order of time")


def table(trace: Trace) -> pandas.DataFrame:
    """The rows with index t and columns log_loss, w0, w1, …, or w[name] of columns with names."""
    import pandas
    columns = {"log_loss": trace.log_loss}
    if trace.least is None:
        flat = trace.w.reshape(len(trace), int(np.prod(trace.w.shape[1:])))
        called = trace.called
        columns |= {f"w{i}" if called is None else f"w[{called[i]}]": flat[:, i]
                    for i in range(flat.shape[1])}
    else:
        columns["least_margin"] = trace.least
    return pandas.DataFrame(columns, index=pandas.Index(trace.t, name="t"))


def frame(trace: Trace) -> xarray.Dataset:
    """The rows over the dimension t."""
    import xarray
    dims = ("i", "j")[: trace.w.ndim - 1]
    columns: dict[str, Any] = {"log_loss": ("t", trace.log_loss)}
    if trace.least is None:
        columns |= {"w": (("t", *dims), trace.w), "u": (("t", "n"), trace.u)}
    else:
        columns["least_margin"] = "t", trace.least
    coords: dict[str, Any] = {"t": trace.t}
    if "w" in columns and trace.called is not None:
        coords[dims[-1]] = list(trace.names or ())
    return xarray.Dataset(columns, coords=coords,
                          attrs={"status": trace.status.name, "message": trace.message})


def report(trace: Trace) -> Report:
    """What a trace says of itself: how far it went, its loss and norm, where it ended."""
    if not len(trace):
        return [f"Trace of 0 rows; {trace.message}"]
    end = f"t = {trace.t[-1]:g}" if trace.t[-1] >= 0 else f"log t = {trace.log_t[-1]:g}"
    rows = [series("log L", trace.log_loss)]
    if trace.least is None:
        rows.append(series("‖w‖₂", lengths(trace._flat)))
    else:
        rows.append(series("least margin", trace.least))
    return [f"Trace of {len(trace)} rows to {end}: {trace.status.name}, {trace.message}",
            Table(rows, ("", "first row", "last row", "row by row")),
            *vector("w at the end", trace.w[-1], trace.names, trace.classes)]
