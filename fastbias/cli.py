"""The command line: ``python -m fastbias run my.csv --loss squared --method mirror --potential entropy --steps 1e6``.

It reads a table, runs a method on it, prints where it went and what theory says, and writes the trace.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastbias import checks, data, losses, methods, norms, potentials
from fastbias.losses import Loss
from fastbias.norms import Norm
from fastbias.plan import FATAL, Plan
from fastbias.potentials import Potential
from fastbias.theory import NoTheorem
from fastbias.trace import RunStopped, Trace

__all__ = ["main"]

METHODS = ("gradient", "mirror", "natural", "steepest")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 fine, 1 the run stopped, 2 bad input, 130 Ctrl-C)."""
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except (ValueError, TypeError, OSError) as error:
        print(f"fastbias: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fastbias", description="Which of the many optima does an optimiser "
                                     "pick? Run one on your own data and hold it against theory.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a method on a table and say where it went and what theory predicts")
    run.add_argument("file", help="CSV (header or not) or NPZ with arrays X and y")
    run.add_argument("--target", default="-1", help="the column that is y, by name or index (default: the last)")
    run.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="a column to leave out; may be repeated")
    run.add_argument("--labels", choices=data.LABELS, help="how to convert the target; default: it is numbers")
    header = run.add_mutually_exclusive_group()
    header.add_argument("--header", action="store_true", help="the first row holds names (default: seen from the file)")
    header.add_argument("--no-header", action="store_true", help="the first row is data")
    run.add_argument("--loss", required=True, choices=checks.named(losses, Loss))
    run.add_argument("--method", required=True, choices=METHODS)
    run.add_argument("--potential", choices=checks.named(potentials, Potential),
                     help="for mirror and natural (default euclidean)")
    run.add_argument("--norm", help="for steepest: a number p >= 1, inf, or l1, l2, linf (default l2)")
    run.add_argument("--momentum", type=float, default=0.0, help="beta: of the dual variable for mirror descent, eq. (7)")
    run.add_argument("--nesterov", type=float, default=0.0, help="gamma, eqs. (3), (7)")
    run.add_argument("--step-size", type=float, help="eta (default: from the curvature at start and limit)")
    run.add_argument("--steps", type=float, default=1e6, help="how many updates (default 1e6)")
    run.add_argument("--until", type=float, help="stop once the log loss is at or under this")
    run.add_argument("--out", help="write the trace to this NPZ file")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _run(options: argparse.Namespace) -> int:
    names = data.names(options.file) if not options.no_header else ()
    table = data.read(options.file, target=_column(options.target, names), drop=[_column(c, names) for c in options.drop],
                      labels=options.labels, header=True if options.header else False if options.no_header else None)
    if options.out and not Path(options.out).absolute().parent.is_dir():
        raise ValueError(f"--out must lie in a folder that exists, got {options.out!r}")
    checks.whole("steps", options.steps)
    if options.until is not None:
        checks.number("until", options.until)
    if options.step_size is None:
        options.step_size = _step_size(table, options)
        print(f"step size {options.step_size:.4g}, from the curvature (choose with --step-size)")
    plan = _plan(table, options, options.step_size)
    print(f"{table.X.shape[0]} rows, {table.X[0].size} columns; {plan.problem.loss.name} loss; {plan.problem.method!r}")
    code = 0
    try:
        trace = plan.run(options.steps, until=options.until, progress=not options.quiet)
    except RunStopped as stopped:
        trace, code = stopped.trace, 1
    except KeyboardInterrupt:
        if plan.trace is None:
            raise
        trace, code = plan.trace, 130
    print(f"{trace.message}\nwhere it went: t = {trace.t[-1]}, log loss {trace.log_loss[-1]:.6g}")
    limit = _predicted(plan)
    goal = np.full(trace.w[-1].size, np.nan) if isinstance(limit, NoTheorem) else limit.w.ravel()
    end = trace.w[-1].ravel()
    if not isinstance(limit, NoTheorem) and limit.kind == "direction":
        print("  (its direction, and the predicted one, both of ℓ2 length 1)")
        end, goal = end / (np.linalg.norm(end) or 1.0), goal / np.linalg.norm(goal)
    for name, went, predicted in zip(table.features, end, goal, strict=True):
        print(f"  {name:<20} {went:>18.10g}" + ("" if np.isnan(predicted) else f"   predicted {predicted:>18.10g}"))
    if isinstance(limit, NoTheorem):
        print(f"what theory says: {limit}")
    else:
        print(f"what theory says: {limit}\ndistance to it: {trace.gap(limit)[-1]:.3g}")
    if options.out:
        trace.save(options.out)
        print(f"wrote {options.out}")
    return code


def _column(text: str, names: Sequence[str] = ()) -> str | int:
    """A column as the user named it: a name where the file has it, else an index where it reads as one."""
    try:
        return text if text in names else int(text)
    except ValueError:
        return text


def _plan(table: data.Dataset, options: argparse.Namespace, eta: float) -> Plan:
    if options.norm is not None and options.method != "steepest":
        raise ValueError(f"--norm must be left out for {options.method}, got {options.norm!r}: it is for steepest")
    if options.potential is not None and options.method not in ("mirror", "natural"):
        raise ValueError(f"--potential must be left out for {options.method}, got {options.potential!r}: it is for mirror "
                         "and natural")
    psi = options.potential or "euclidean"
    if options.method == "gradient":
        method = methods.gradient_descent(eta, options.momentum, options.nesterov)
    elif options.method == "mirror":
        method = methods.mirror_descent(psi, eta, options.momentum, nesterov=options.nesterov)
    elif options.momentum or options.nesterov:
        raise ValueError(f"--momentum and --nesterov must be 0 for {options.method}, "
                         f"got {options.momentum:g} and {options.nesterov:g}")
    elif options.method == "natural":
        method = methods.natural_gradient(psi, eta)
    else:
        method = methods.steepest_descent(_norm(options.norm or "l2"), eta)
    return Plan(table.X, table.y, loss=options.loss, method=method)


def _norm(text: str) -> Norm:
    known = checks.named(norms, Norm)
    try:
        return known[text] if text in known else norms.lp(float(text))
    except ValueError:
        raise ValueError(f"--norm must be a number >= 1, inf, or one of {', '.join(known)}, got {text!r}") from None


def _predicted(plan: Plan) -> Any:
    """What theory predicts for the plan, or the NoTheorem that says why it does not."""
    try:
        return plan.limit()
    except NoTheorem as reason:
        return reason


def _step_size(table: data.Dataset, options: argparse.Namespace) -> float:
    """A step that works: half of 1/λ_max of the local curvature at the start and the limit, halved until the loss falls.

    For the squared loss the curvature in the method's own geometry is that of H(w)⁻¹ 2XᵀX; for steepest descent in a
    norm that is not quadratic, the ℓ2 curvature is only a first guess, and the trial run decides.
    """
    plan = _plan(table, options, 1.0)
    problem = plan.problem
    points = [problem.start]
    limit = _predicted(plan)
    if not isinstance(limit, NoTheorem):
        points.append(limit.w.ravel())
    largest = 0.0
    for w in points:
        rows: np.ndarray = problem.X
        if rows.shape[0] > rows.shape[1]:
            rows = np.asarray(np.linalg.qr(rows, mode="r"))
        solved = rows
        if isinstance(problem.method.geometry, Potential):
            solved = np.array([problem.method.geometry.solve(w, row) for row in rows])
        curvature = 2.0 * np.linalg.eigvals(rows @ solved.T)
        largest = max(largest, float(np.abs(curvature).max()) if np.isfinite(curvature).all() else 0.0)
    eta = 0.5 / largest if largest > 0 else 1.0
    for _ in range(60):
        trial: Trace = _plan(table, options, eta).run(200, strict=False)
        falls = trial.log_loss[-1] <= trial.log_loss[0] and bool((trial.log_loss <= trial.log_loss[0] + np.log(4)).all())
        if falls and trial.status not in FATAL:
            return eta
        eta /= 2
    raise ValueError("--step-size must be given: no step size under which the loss falls was found")
