"""The command line: ``python -m fastbias run my.csv --loss squared --method mirror --potential entropy --steps 1e6``.

It reads a table, runs a method on it, prints where it went and what theory says, and writes the trace; ``margin`` solves for
the maximum margin of labelled data, ``diagnose`` says which norm's margin a direction maximises.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from fastbias import checks, data
from fastbias.checks import files
from fastbias.pieces import losses, methods, norms, potentials, steps
from fastbias.pieces.losses import Loss
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import gather, radius
from fastbias.running.plan import FATAL, Plan
from fastbias.solvers.diagnose import diagnose
from fastbias.solvers.limit import NoTheorem
from fastbias.solvers.margins import max_margin, separability
from fastbias.trace import RunStopped, Trace

__all__ = ["main"]

METHODS = ("gradient", "mirror", "natural", "steepest", "coordinate", "adagrad", "adam", "rmsprop", "sign", "muon",
           "dual_acceleration")
RULES: dict[str, Any] = {"constant": steps.as_rule, "loss_scaled": steps.loss_scaled, "bounded": steps.bounded}
SHOWN = 12       # entries of a long vector that are printed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 fine, 1 the run stopped or no margin, 2 bad input, 130 Ctrl-C)."""
    if argv is not None and not (isinstance(argv, (list, tuple)) and all(isinstance(word, str) for word in argv)):
        raise TypeError(f"argv must be a list of strings, got {checks.short(argv)}")
    options = _parser().parse_args(argv)
    try:
        return int(options.command(options))
    except (ValueError, TypeError, OSError, ArithmeticError) as error:
        print(f"fastbias: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fastbias", description="Which of the many optima does an optimiser "
                                     "pick? Run one on your own data and hold it against theory.")
    commands = parser.add_subparsers(required=True)
    table = argparse.ArgumentParser(add_help=False)
    table.add_argument("file", help="CSV (header or not) or NPZ with arrays X and y")
    table.add_argument("--target", default="-1", help="the column that is y, by name or index (default: the last)")
    table.add_argument("--drop", action="append", default=[], metavar="COLUMN",
                       help="a column to leave out (may be repeated)")
    table.add_argument("--labels", choices=data.LABELS, help="how to convert the target; default: it is numbers")
    header = table.add_mutually_exclusive_group()
    header.add_argument("--header", action="store_true", help="the first row holds names (default: seen from the file)")
    header.add_argument("--no-header", action="store_true", help="the first row is data")
    run = commands.add_parser("run", parents=[table],
                              help="run a method on a table and say where it went and what theory predicts")
    run.set_defaults(command=_run)
    run.add_argument("--loss", required=True, choices=checks.named(losses, Loss))
    run.add_argument("--method", required=True, choices=METHODS)
    run.add_argument("--potential", choices=checks.named(potentials, Potential),
                     help="for mirror and natural (default euclidean)")
    run.add_argument("--norm", help="for steepest: a number p >= 1, inf, or l1, l2, linf, spectral, nuclear (default l2)")
    run.add_argument("--momentum", type=float, help="beta: of the dual variable for mirror descent, eq. (7) (default 0; "
                     "muon 0.95)")
    run.add_argument("--nesterov", type=float, default=0.0, help="gamma, eqs. (3), (7)")
    run.add_argument("--step-size", type=float, help="eta (default: what theory admits, or from the curvature)")
    run.add_argument("--step-rule", choices=RULES, default="constant",
                     help="eta itself, eta/L, or min(eta, 1/(B^2 L)) of Theorem 5 (default constant)")
    run.add_argument("--steps", type=float, default=1e6, help="how many updates (default 1e6)")
    run.add_argument("--until", type=float, help="stop once the log loss is at or under this")
    run.add_argument("--out", help="write the trace to this NPZ file")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    margin = commands.add_parser("margin", parents=[table],
                                 help="the maximum margin of labelled data in a norm, with its certificate")
    margin.set_defaults(command=_margin)
    margin.add_argument("--norm", default="l2", help="a number p >= 1, inf, or l1, l2, linf, spectral, nuclear (default l2)")
    diagnosis = commands.add_parser("diagnose", parents=[table],
                                    help="which norm's margin a direction from anywhere maximises")
    diagnosis.set_defaults(command=_diagnose)
    diagnosis.add_argument("weights", help="the direction: an NPY file, or an NPZ that `run --out` wrote (its last row)")
    return parser


def _table(options: argparse.Namespace) -> data.Dataset:
    names = data.names(options.file) if not options.no_header else ()
    return data.read(options.file, target=_column(options.target, names), drop=[_column(c, names) for c in options.drop],
                     labels=options.labels, header=True if options.header else False if options.no_header else None)


def _run(options: argparse.Namespace) -> int:
    table = _table(options)
    if options.out:
        checks.path("--out", options.out)
    checks.whole("steps", options.steps)
    if options.until is not None:
        checks.number("until", options.until)
    if options.step_size is None and options.method != "dual_acceleration":
        options.step_size, why = _step_size(table, options)
        print(f"step size {options.step_size:.4g}, {why} (choose with --step-size)")
    plan = _plan(table, options, options.step_size)
    print(f"{table.X.shape[0]} rows, {table.X[0].size} columns; {plan.problem.loss.name} loss; {plan.problem.method!r}")
    _say_labels(table, plan.problem.classes)
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
    for name, went, predicted in zip(_names(table, plan.problem.outputs, plan.problem.classes), end, goal, strict=True):
        print(f"  {name:<20} {went:>18.10g}" + ("" if np.isnan(predicted) else f"   predicted {predicted:>18.10g}"))
    if isinstance(limit, NoTheorem):
        print(f"what theory says: {limit}")
    else:
        print(f"what theory says: {limit}\ndistance to it: {trace.gap(limit)[-1]:.3g}")
    if options.out:
        trace.save(options.out)
        print(f"wrote {options.out}")
    return code


def _margin(options: argparse.Namespace) -> int:
    table = _table(options)
    told = separability(table.X, table.y)
    _say_labels(table, told.classes)
    if told.reason:
        print(told.reason)
    if told.w is None:
        assert told.dual is not None
        many = int((told.dual > 0).sum())
        print(f"not separable: λ ≥ 0, Σλ = 1 with Σ λ y x = 0 (Gordan), on {many} rows, residual {told.residual:.1e}")
        _weights(table, told.dual)
        return 1
    norm = _norm(options.norm, told.w.shape)
    limit = max_margin(table.X, table.y, norm)
    print(f"maximum {norm.name} margin {limit.margin:.12g}, "
          f"{'certified' if limit.certified else 'NOT certified'}: relative duality gap {limit.duality_gap:.1e}")
    for name, value in zip(_names(table, limit.w.size // table.X[0].size, limit.classes), limit.w.ravel(), strict=True):
        print(f"  {name:<20} {value:>18.10g}")
    _weights(table, limit.dual)
    for row in limit.hypotheses:
        print(f"{row.statement}: {row.holds} ({row.evidence})")
    return 0


def _weights(table: data.Dataset, dual: np.ndarray) -> None:
    print("rows, from 0, and their weight λ:")
    heaviest = np.argsort(-dual)[:SHOWN]
    for n in heaviest[dual[heaviest] > 1e-9]:
        print(f"  {n * len(table.y) // dual.size:<20} {dual[n]:>18.10g}")


def _diagnose(options: argparse.Namespace) -> int:
    table = _table(options)
    if str(options.weights).endswith(".npz"):
        w = Trace.load(options.weights).w[-1]
    else:
        w = files.read_array("weights", options.weights, "an NPY file of numbers")
    found = diagnose(table.X, table.y, w)
    print(found if not table.classes else replace(found, classes=np.array(table.classes)))
    return 0


def _say_labels(table: data.Dataset, classes: np.ndarray | None) -> None:
    """Print which label is +1, by the names that the file has for them."""
    for line in checks.mapping(np.array(table.classes) if classes is not None and table.classes else classes):
        print(line)


def _names(table: data.Dataset, outputs: int, classes: np.ndarray | None) -> list[str]:
    """What each entry of w is called: the feature, with the class before it where there are classes."""
    if outputs == 1:
        return list(table.features)
    known = table.classes or (range(outputs) if classes is None else classes.tolist())
    called = [f"{c:g}" if isinstance(c, float) else str(c) for c in known]
    return [f"{c}: {name}" for c in called for name in table.features]


def _column(text: str, names: Sequence[str] = ()) -> str | int:
    """A column as the user named it: a name where the file has it, else an index where it reads as one."""
    try:
        return text if text in names else int(text)
    except ValueError:
        return text


def _plan(table: data.Dataset, options: argparse.Namespace, eta: float | None) -> Plan:
    if options.norm is not None and options.method != "steepest":
        raise ValueError(f"--norm must be left out for {options.method}, got {options.norm!r}: it is for steepest")
    if options.potential is not None and options.method not in ("mirror", "natural"):
        raise ValueError(f"--potential must be left out for {options.method}, got {options.potential!r}: it is for mirror "
                         "and natural")
    beta = options.momentum or 0.0
    if (beta or options.nesterov) and not (options.method in ("gradient", "mirror")
                                           or (options.method == "muon" and not options.nesterov)):
        raise ValueError(f"--momentum and --nesterov must be 0 for {options.method}, "
                         f"got {beta:g} and {options.nesterov:g}")
    if options.method == "dual_acceleration" and (options.step_size is not None or options.step_rule != "constant"):
        raise ValueError("--step-size and --step-rule must be left out for dual_acceleration, which has steps of its own")
    psi = options.potential or "euclidean"
    rule: Any = RULES[options.step_rule](eta) if eta is not None else None    # dual acceleration has its own
    made = {
        "gradient": lambda: methods.gradient_descent(rule, beta, options.nesterov),
        "mirror": lambda: methods.mirror_descent(psi, rule, beta, nesterov=options.nesterov),
        "natural": lambda: methods.natural_gradient(psi, rule),
        "steepest": lambda: methods.steepest_descent(_norm(options.norm or "l2", _shape(table, options)), rule),
        "coordinate": lambda: methods.coordinate_descent(rule),
        "adagrad": lambda: methods.adagrad(rule), "adam": lambda: methods.adam(rule),
        "rmsprop": lambda: methods.rmsprop(rule), "sign": lambda: methods.sign_descent(rule),
        "muon": lambda: methods.muon(rule, 0.95 if options.momentum is None else options.momentum),
        "dual_acceleration": methods.dual_acceleration,
    }[options.method]()
    return Plan(table.X, table.y, loss=options.loss, method=made)


def _shape(table: data.Dataset, options: argparse.Namespace) -> tuple[int, ...]:
    """The shape of predictors."""
    return gather(table.X, table.y, options.loss).shape


def _norm(text: str, shape: tuple[int, ...]) -> Norm:
    known = checks.named(norms, Norm)
    shaped = {"spectral": norms.spectral, "nuclear": norms.nuclear}
    if text in shaped:
        if len(shape) != 2:
            raise ValueError(f"--norm {text} must have predictors that are matrices, got shape {shape}")
        return shaped[text](*shape)
    try:
        return known[text] if text in known else norms.lp(float(text))
    except ValueError:
        raise ValueError(f"--norm must be a number >= 1, inf, or one of {', '.join([*known, *shaped])}, "
                         f"got {text!r}") from None


def _predicted(plan: Plan) -> Any:
    """What theory predicts for the plan, or the NoTheorem that says why it does not."""
    try:
        return plan.limit()
    except NoTheorem as reason:
        return reason


def _step_size(table: data.Dataset, options: argparse.Namespace) -> tuple[float, str]:
    """A step that works, and where it comes from: half of what theory admits, else halved until the loss falls.

    For the squared loss the first guess is the curvature in the method's own geometry at start and limit, that of
    H(w)⁻¹ 2XᵀX; for a norm that is not quadratic, the ℓ2 curvature is only that, and the trial run decides.
    """
    plan = _plan(table, options, 1.0)
    problem = plan.problem
    if problem.rule.loss and problem.loss.kind == "monotone":
        B = radius(problem, problem.method.geometry)
        return (1.0, "Theorem 5's η₊") if problem.rule.radius else (0.5 / B ** 2, "half of 1/B²")
    if problem.loss.kind == "monotone":
        with suppress(NoTheorem):
            return 0.5 * plan.max_step().step_size, f"half of what theory admits: {plan.max_step().theorem}"
        if problem.method.unscaled:
            return 1e-3, "small moves of fixed length"
    points = [problem.start]
    limit = _predicted(plan)
    if not isinstance(limit, NoTheorem) and limit.kind == "point":
        points.append(limit.w.ravel())
    largest = 0.0
    for w in points:
        rows: np.ndarray = problem.X
        if rows.shape[0] > rows.shape[1]:
            rows = np.asarray(np.linalg.qr(rows, mode="r"))
        solved = rows
        if isinstance(problem.method.geometry, Potential) and problem.outputs == 1:
            solved = np.array([problem.method.geometry.solve(w, row) for row in rows])
        curvature = 2.0 * np.linalg.eigvals(rows @ solved.T)
        largest = max(largest, float(np.abs(curvature).max()) if np.isfinite(curvature).all() else 0.0)
    eta = 0.5 / largest if largest > 0 else 1.0
    for _ in range(60):
        trial: Trace = _plan(table, options, eta).run(200, strict=False)
        falls = trial.log_loss[-1] <= trial.log_loss[0] and bool((trial.log_loss <= trial.log_loss[0] + np.log(4)).all())
        if falls and trial.status not in FATAL:
            return eta, "from the curvature"
        eta /= 2
    raise ValueError("--step-size must be given: no step size under which the loss falls was found")
