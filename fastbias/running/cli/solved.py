"""``margin``, ``separation``, ``diagnose`` and ``path``: what is solved for, without a run."""
from __future__ import annotations

import argparse
import re
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from fastbias.checks import files
from fastbias.running.cli import shown
from fastbias.running.cli.files import draw, looked_at, plot_option, proof
from fastbias.running.cli.plans import norm_of
from fastbias.running.cli.table import add_command, counted, read
from fastbias.running.cli.words import Words
from fastbias.solvers.diagnose import diagnose
from fastbias.solvers.lasso import l1_path
from fastbias.solvers.margins import max_margin, separability
from fastbias.solvers.regularisation import regularisation_path
from fastbias.solvers.separation import separation
from fastbias.trace import Trace

__all__ = ["add"]

NO = 1            # the exit code where the answer is no
ROWS = 12         # of a path, that are printed


def add(commands: Any, table: argparse.ArgumentParser) -> None:
    """The commands."""
    margin = add_command(commands, "margin", _margin, "the maximum margin of labelled data in a "
                         "norm, with its certificate", "fastbias margin my.csv --target kind "
                         "--norm 1.5 --intercept", table)
    margin.add_argument("--norm", default="l2", help="a number p >= 1, inf, or of fb.norms, such "
                        "as l1, spectral, 'group([[0, 1], [2]])' (default l2)")
    plot_option(margin, "support vectors, and of two columns what parts them")
    margin.add_argument("--proof", metavar="FILE", help="write a proof of it to this JSON file, "
                        "where there is an exact one, for `fastbias check FILE`")
    parted = add_command(commands, "separation", _separation, "which coefficients of a "
                         "logistic regression are infinite, and what the others are",
                         "fastbias separation my.csv --target kind --weights count", table)
    parted.add_argument("--no-intercept", action="store_true", help="without one")
    plot_option(parted, "the coefficients")
    diagnosis = add_command(commands, "diagnose", _diagnose, "which norm's margin a direction from "
                            "anywhere maximises", "fastbias diagnose my.csv run.npz", table)
    diagnosis.add_argument("direction", metavar="weights", help="the direction: an NPY file, a "
                           "text file of numbers (a class a line), or an NPZ that `run --out` "
                           "wrote (its last row)")
    plot_option(diagnosis, "the fractions")
    path = add_command(commands, "path", _path, "the regularisation path: the least loss in balls "
                       "of a norm, or of the squared loss beside lambda times the l1 norm",
                       "fastbias path my.csv --norm l1 --radii 1,10,100 --plot path.png", table)
    path.add_argument("--loss", default="exponential", help="of fb.losses (default exponential)")
    path.add_argument("--norm", default="l2", help="as for margin")
    path.add_argument("--radii", help="of the balls, with commas between them (default: ten, 1 to "
                      "1000)")
    path.add_argument("--lambdas", help="the l1 path of the squared loss, at so many lambda or at "
                      "those with commas between them; in place of --loss, --norm and --radii")
    path.add_argument("--out", help="write all of it to this CSV file")
    plot_option(path, "the weights along it")


def _separation(options: argparse.Namespace) -> int:
    looked_at(options)
    if options.intercept and options.no_intercept:
        raise ValueError("--intercept must be left out beside --no-intercept")
    table = read(options)
    found = separation(table.X, table.y, intercept=not options.no_intercept, names=table.names,
                       weights=table.weights)
    print(found if not table.classes else replace(found, classes=np.array(table.classes)))
    draw(options, found.plot)
    return 0


def _margin(options: argparse.Namespace) -> int:
    looked_at(options)
    table = counted(options)
    free = options.intercept
    told = separability(table.X, table.y, intercept=free)
    shown.labels(table, told.classes)
    if told.reason:
        print(told.reason)
    if told.w is None:
        assert told.dual is not None
        many = int((told.dual > 0).sum())
        print(f"not separable: λ ≥ 0, Σλ = 1 with Σ λ y x = 0{' and Σ λ y = 0' if free else ''} "
              f"(Gordan), on {many} rows, residual {told.residual:.1e}")
        shown.support(table, told.dual)
        proof(options, told.proof)
        return NO
    norm = norm_of(options.norm, told.w.shape)
    limit = max_margin(table.X, table.y, norm, intercept=free)
    print(f"maximum {norm.name} margin {limit.margin:.12g}, "
          f"{'certified' if limit.certified else 'NOT certified'}: relative duality gap "
          f"{limit.duality_gap:.1e}")
    entries, shape = limit.w, limit.w.shape
    if free:
        rows = limit.w.reshape(-1, len(table.names))
        entries = np.hstack([rows, np.reshape(limit.intercept, (-1, 1))])
        shape = entries.shape if limit.w.ndim > 1 else (entries.size,)
    with np.errstate(over="ignore"):                      # (margins may be as small as 1e-300)
        shown.weights(shown.names(table, free, shape, limit.classes), entries,
                      entries / limit.margin, "at margin 1")
    shown.support(table, limit.dual, limit.alpha)
    for row in limit.hypotheses:
        print(f"{row.statement}: {row.holds} ({row.evidence})")
    proof(options, limit.proof)
    draw(options, lambda ax: limit.plot(table.X, table.y, ax=ax))
    return 0


def _diagnose(options: argparse.Namespace) -> int:
    looked_at(options)
    table = counted(options)
    # the end of a run, or weights from anywhere
    if str(options.direction).endswith(".npz"):
        w = Trace.load(options.direction).w[-1]
    elif str(options.direction).endswith(".npy"):
        w = files.read_array("weights", options.direction, "an NPY file of numbers")
    else:
        w = _texts(options.direction)
    b: Any = None
    if options.intercept:
        w, b = w[..., :-1], w[..., -1] if w.ndim > 1 else float(w[-1])
    found = diagnose(table.X, table.y, w, intercept=b)
    print(found if not table.classes else replace(found, classes=np.array(table.classes)))
    draw(options, found.plot)
    return 0


def _texts(path: str) -> np.ndarray:
    """Numbers of a text file, with commas, semicolons or blanks between them: a line of them or a
    number a line is a vector.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [re.sub(r"[,;]", " ", line) for line in file]
        with warnings.catch_warnings():
            warnings.simplefilter("error")                # (of an empty file)
            w = np.loadtxt(lines, ndmin=2)
    except (ValueError, UserWarning) as error:
        told = str(error).partition("\n")[0].partition(";")[0]
        raise ValueError(f"weights must be an NPY, NPZ or text file of numbers, got {path}: {told}"
                         ) from None
    return w.ravel() if 1 in w.shape else w


def _path(options: argparse.Namespace) -> int:
    looked_at(options)
    table = read(options)
    found, at, last, classes = _solved(table, options)
    w = found.w.reshape(len(at), -1)
    names = shown.names(table, False, found.w.shape[1:], classes)
    told = "lambda" if options.lambdas else "radius"
    listed = names[:4]
    print(f"{told:>12} {last:>14} {'residual':>10}  {'  '.join(f'{x:>12}' for x in listed)}"
          f"{'  ...' * (len(names) > len(listed))}")
    seen = np.unique(np.linspace(0, len(at) - 1, ROWS).round().astype(int))
    values = found.residuals if options.lambdas else found.log_loss
    for i in seen:
        sizes = np.abs(w[i]).sum() if options.lambdas else values[i]
        print(f"{at[i]:>12.6g} {sizes:>14.6g} {found.residuals[i]:>10.1e}  "
              f"{'  '.join(f'{x:>12.6g}' for x in w[i, :len(listed)])}")
    if options.out:
        rows = np.column_stack([at, values, w])
        _write(options.out, [told, "residual" if options.lambdas else "log_loss", *names], rows)
        print(f"wrote {options.out}")
    draw(options, found.plot)
    return 0


def _solved(table: Any, options: argparse.Namespace) -> tuple[Any, np.ndarray, str, Any]:
    """The path, where it was asked for, what stands beside it, and the classes."""
    if options.lambdas is not None:
        if options.intercept or table.weights is not None or options.radii is not None:
            raise ValueError("--intercept, --weights and --radii must be left out with --lambdas, "
                             "whose path is of ||Xw - y||^2 alone")
        lambdas = Words("--lambdas").value(None, options.lambdas)
        found = l1_path(table.X, table.y, lambdas)
        return found, found.lambdas, "l1 norm", None
    radii: Any = np.geomspace(1, 1000, 10) if options.radii is None \
        else Words("--radii").value(None, options.radii)
    loss = Words("--loss").piece("loss", options.loss)
    X = np.asarray(table.X) if hasattr(table.X, "to_numpy") else table.X
    norm = norm_of(options.norm, X.shape[1:])
    ball = regularisation_path(table.X, table.y, radii, norm, loss, weights=table.weights,
                               intercept=options.intercept)
    shown.labels(table, ball.classes)
    return ball, ball.radii, "log loss", ball.classes


def _write(path: str, names: list[str], rows: np.ndarray) -> None:
    import csv
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(names)
        out.writerows(rows.tolist())
