"""The command line: ``python -m fastbias run my.csv --loss squared --method mirror --steps 1e6``.

It reads a table, runs a method on it, prints where it went and what theory says, and writes the
trace; ``margin`` solves for the maximum margin of labelled data, ``diagnose`` says which norm's
margin a direction maximises.
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
from fastbias.checks.columns import entries
from fastbias.checks.own import INTERCEPT
from fastbias.data.rows import called
from fastbias.pieces import losses, methods, norms, potentials, steps
from fastbias.pieces.losses import Loss
from fastbias.pieces.norms import Norm
from fastbias.pieces.potentials import Potential
from fastbias.problem import gather, radius
from fastbias.running.course import FATAL
from fastbias.running.plan import Plan
from fastbias.solvers.diagnose import diagnose
from fastbias.solvers.limit import Limit, NoTheorem
from fastbias.solvers.margins import max_margin, separability
from fastbias.solvers.separation import separation
from fastbias.trace import RunStopped, Trace

__all__ = ["main"]

# spelled out: not every method can be made of a step size, momentum and a geometry alone
METHODS = ("gradient", "mirror", "natural", "steepest", "coordinate", "adagrad", "adam", "rmsprop",
           "sign", "muon", "dual_acceleration")
RULES: dict[str, Any] = {"constant": steps.as_rule, "loss_scaled": steps.loss_scaled,
                         "bounded": steps.bounded}
SHOWN = 12       # entries of a long vector that are printed
FELT = 1e-9      # weights λ, which add up to one, over which a row is shown: the rest is rounding
HALVINGS = 60    # of a first guess at the step size; by then it is under 1e-18 of it
TRIAL = 200      # steps in which the loss must fall
RISE = float(np.log(4))      # of log L, that a step which falls in the end may show on the way
MOMENTUM = ("gradient", "mirror", "muon")
STOPPED, BAD, INTERRUPTED = 1, 2, 130        # exit codes, as a shell knows them


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: fine; 1: the run stopped, or there is no margin; 2: bad input; 130: Ctrl-C.
    """
    if argv is not None and not (isinstance(argv, (list, tuple))
                                 and all(isinstance(word, str) for word in argv)):
        raise TypeError(f"argv must be a list of strings, got {checks.short(argv)}")
    options = _parser().parse_args(argv)
    # everything that is the user's to mend comes as one sentence; the rest is a bug, and traced
    try:
        return int(options.command(options))
    except (ValueError, TypeError, OSError, ArithmeticError) as error:
        print(f"fastbias: {error}", file=sys.stderr)
        return BAD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fastbias", description=(
        "Which of the many optima does an optimiser pick? Run one on your own data and hold it "
        "against theory."))
    commands = parser.add_subparsers(required=True)
    table = _table_parser()
    _run_parser(commands, table)
    margin = commands.add_parser("margin", parents=[table], help="the maximum margin of labelled "
                                 "data in a norm, with its certificate")
    margin.set_defaults(command=_margin)
    margin.add_argument("--norm", default="l2", help="a number p >= 1, inf, or l1, l2, linf, "
                        "spectral, nuclear (default l2)")
    diagnosis = commands.add_parser("diagnose", parents=[table],
                                    help="which norm's margin a direction from anywhere maximises")
    diagnosis.set_defaults(command=_diagnose)
    diagnosis.add_argument("direction", metavar="weights", help="the direction: an NPY file, or an "
                           "NPZ that `run --out` wrote (its last row)")
    parted = commands.add_parser("separation", parents=[table], help="which coefficients of a "
                                 "logistic regression are infinite, and what the others are")
    parted.set_defaults(command=_separation)
    parted.add_argument("--no-intercept", action="store_true", help="without one")
    return parser


def _table_parser() -> argparse.ArgumentParser:
    """The arguments that say what is read, and how."""
    table = argparse.ArgumentParser(add_help=False)
    table.add_argument("file", help="a text file such as CSV (header or not), or NPZ with arrays X "
                       "and y")
    table.add_argument("--target", default="-1", help="the column that is y, by name or index "
                       "(default: the last); A,B: two columns of counts, A being +1")
    table.add_argument("--drop", action="append", default=[], metavar="COLUMN",
                       help="a column to leave out (may be repeated)")
    table.add_argument("--labels", help="the label that is +1, or all in order, commas between "
                       "them; binary or index: numbers of the sorted ones (default: as they are, "
                       "sorted)")
    table.add_argument("--weights", metavar="COLUMN", help="the column of the samples' weights or "
                       "counts, >= 0, by name or index (NPZ: the array)")
    table.add_argument("--categories", choices=data.CATEGORIES, default="onehot",
                       help="what becomes of columns of texts: 0 and 1 for all levels but the "
                       "first")
    table.add_argument("--missing", choices=data.MISSING, default="drop", help="what becomes of "
                       "rows with gaps (default: left out, and counted)")
    table.add_argument("--intercept", action="store_true", help="with an intercept: free in "
                       "margins; of a run a weight on ones, which its geometry sees; the last "
                       "entry of a direction to diagnose")
    header = table.add_mutually_exclusive_group()
    header.add_argument("--header", action="store_true", help="the first row holds names (default: "
                        "seen from the file)")
    header.add_argument("--no-header", action="store_true", help="the first row is data")
    return table


def _run_parser(commands: Any, table: argparse.ArgumentParser) -> None:
    """The arguments of ``run``."""
    run = commands.add_parser("run", parents=[table], help="run a method on a table and say where "
                              "it went and what theory predicts")
    run.set_defaults(command=_run)
    run.add_argument("--loss", required=True, choices=checks.named(losses, Loss))
    run.add_argument("--method", required=True, choices=METHODS)
    run.add_argument("--potential", choices=checks.named(potentials, Potential),
                     help="for mirror and natural (default euclidean)")
    run.add_argument("--norm", help="for steepest: a number p >= 1, inf, or l1, l2, linf, "
                     "spectral, nuclear (default l2)")
    run.add_argument("--momentum", type=float, help="beta: of the dual variable for mirror "
                     "descent, eq. (7) (default 0; muon 0.95)")
    run.add_argument("--nesterov", type=float, default=0.0, help="gamma, eqs. (3), (7)")
    run.add_argument("--step-size", type=float, help="eta (default: what theory admits, or from "
                     "the curvature)")
    run.add_argument("--step-rule", choices=RULES, default="constant", help="eta itself, eta/L, or "
                     "min(eta, 1/(B^2 L)) of Theorem 5 (default constant)")
    run.add_argument("--steps", type=float, default=1e6, help="how many updates (default 1e6)")
    run.add_argument("--until", type=float, help="stop once the log loss is at or under this")
    run.add_argument("--out", help="write the trace to this NPZ file")
    run.add_argument("--quiet", action="store_true", help="no progress bar")


def _table(options: argparse.Namespace) -> data.Table:
    """The table; what was done to it is printed."""
    # neither flag: `read` looks for itself
    header = {(True, False): True, (False, True): False}.get((options.header, options.no_header))
    # (an NPZ file has arrays by name, and no columns)
    target = -1 if options.target == "-1" else options.target
    table = data.read(options.file, target, drop=options.drop, labels=options.labels,
                      categories=options.categories, missing=options.missing,
                      weights=options.weights, header=header)
    for line in table.notes:
        print(line)
    return table


def _counted(options: argparse.Namespace) -> data.Table:
    """The table without rows that count nothing."""
    table = _table(options)
    if table.weights is None:
        return table
    seen = table.weights > 0
    return replace(table, X=table.X[seen], y=table.y[seen], weights=table.weights[seen])


def _run(options: argparse.Namespace) -> int:
    table = _table(options)
    # what could only fail at the end is looked at first
    if options.out:
        checks.path("--out", options.out)
    checks.whole("steps", options.steps)
    if options.until is not None:
        checks.number("until", options.until)
    if options.step_size is None and options.method != "dual_acceleration":
        options.step_size, why = _step_size(table, options)
        print(f"step size {options.step_size:.4g}, {why} (choose with --step-size)")
    plan = _plan(table, options, options.step_size)
    print(f"{plan.problem.X.shape[0]} rows, {len(table.names)} columns"
          f"{' and an intercept' if options.intercept else ''}; {plan.problem.loss.name} loss; "
          f"{plan.problem.method!r}")
    _say_labels(table, plan.problem.classes)
    trace, code = _went(plan, options)
    print(f"{trace.message}\nwhere it went: t = {trace.t[-1]}, log loss {trace.log_loss[-1]:.6g}")
    limit = _predicted(plan)
    _compare(trace, limit, _names(table, options.intercept, plan.problem.shape,
                                  plan.problem.classes))
    print(f"what theory says: {limit}")
    if not isinstance(limit, NoTheorem):
        print(f"distance to it: {trace.gap(limit)[-1]:.3g}")
    if options.out:
        trace.save(options.out)
        print(f"wrote {options.out}")
    return code


def _went(plan: Plan, options: argparse.Namespace) -> tuple[Trace, int]:
    """Run the plan; what it wrote down, however it ended, and the exit code."""
    try:
        return plan.run(options.steps, until=options.until, progress=not options.quiet), 0
    except RunStopped as stopped:
        return stopped.trace, STOPPED
    except KeyboardInterrupt:
        if plan.trace is None:                            # it came before the run began
            raise
        return plan.trace, INTERRUPTED


def _compare(trace: Trace, limit: Limit | NoTheorem, names: list[str]) -> None:
    """Print where a run went beside where theory sends it."""
    end = trace.w[-1].ravel()
    goal = np.full(end.size, np.nan) if isinstance(limit, NoTheorem) else limit.w.ravel()
    if not isinstance(limit, NoTheorem) and limit.kind == "direction":
        print("  (its direction, and the predicted one, both of ℓ2 length 1)")
        end, goal = end / (np.linalg.norm(end) or 1.0), goal / np.linalg.norm(goal)
    for name, went, predicted in zip(names, end, goal, strict=True):
        told = "" if np.isnan(predicted) else f"   predicted {predicted:>18.10g}"
        print(f"  {name:<20} {went:>18.10g}{told}")


def _separation(options: argparse.Namespace) -> int:
    table = _table(options)
    found = separation(table.X, table.y, intercept=not options.no_intercept, names=table.names,
                       weights=table.weights)
    print(found if not table.classes else replace(found, classes=np.array(table.classes)))
    return 0


def _margin(options: argparse.Namespace) -> int:
    table = _counted(options)
    free = options.intercept
    told = separability(table.X, table.y, intercept=free)
    _say_labels(table, told.classes)
    if told.reason:
        print(told.reason)
    if told.w is None:
        assert told.dual is not None
        many = int((told.dual > 0).sum())
        print(f"not separable: λ ≥ 0, Σλ = 1 with Σ λ y x = 0{' and Σ λ y = 0' if free else ''} "
              f"(Gordan), on {many} rows, residual {told.residual:.1e}")
        _weights(table, told.dual)
        return STOPPED
    norm = _norm(options.norm, told.w.shape)
    limit = max_margin(table.X, table.y, norm, intercept=free)
    print(f"maximum {norm.name} margin {limit.margin:.12g}, "
          f"{'certified' if limit.certified else 'NOT certified'}: relative duality gap "
          f"{limit.duality_gap:.1e}")
    entries, shape = limit.w, limit.w.shape
    if free:
        rows = limit.w.reshape(-1, len(table.names))
        entries = np.hstack([rows, np.reshape(limit.intercept, (-1, 1))])
        shape = entries.shape if limit.w.ndim > 1 else (entries.size,)
    for name, value in zip(_names(table, free, shape, limit.classes), entries.ravel(),
                           strict=True):
        print(f"  {name:<20} {value:>18.10g}")
    _weights(table, limit.dual)
    for row in limit.hypotheses:
        print(f"{row.statement}: {row.holds} ({row.evidence})")
    return 0


def _weights(table: data.Table, dual: np.ndarray) -> None:
    y, classes = checks.labels("y", table.y)
    names = table.classes or classes.tolist()
    print(f"rows, from 0, {'against other classes, ' * (len(names) > 2)}and their weight λ:")
    heaviest = np.argsort(-dual)[:SHOWN]
    for n in heaviest[dual[heaviest] > FELT]:
        print(f"  {called(n, y.astype(int), names):<20} {dual[n]:>18.10g}")


def _diagnose(options: argparse.Namespace) -> int:
    table = _counted(options)
    # the end of a run, or weights from anywhere
    if str(options.direction).endswith(".npz"):
        w = Trace.load(options.direction).w[-1]
    else:
        w = files.read_array("weights", options.direction, "an NPY file of numbers")
    b: Any = None
    if options.intercept:
        w, b = w[..., :-1], w[..., -1] if w.ndim > 1 else float(w[-1])
    found = diagnose(table.X, table.y, w, intercept=b)
    print(found if not table.classes else replace(found, classes=np.array(table.classes)))
    return 0


def _say_labels(table: data.Table, classes: np.ndarray | None) -> None:
    """Print which label is +1, by the names that the file has for them."""
    for line in checks.mapping(np.array(table.classes) if classes is not None and table.classes
                               else classes):
        print(line)


def _names(table: data.Table, intercept: bool, shape: tuple[int, ...],
           classes: np.ndarray | None) -> list[str]:
    """What each entry of w is called: the feature, after its class where there are classes."""
    names = (*table.names, INTERCEPT) if intercept else table.names
    # (samples that are matrices have a name for each entry)
    return entries(names, shape, table.classes or classes) or list(names)


def _plan(table: data.Table, options: argparse.Namespace, eta: float | None) -> Plan:
    """The plan that the options describe, with a step size."""
    _consistent(options)
    beta, gamma = options.momentum or 0.0, options.nesterov
    psi = options.potential or "euclidean"
    # (dual acceleration has steps of its own, and gets none)
    rule: Any = None if eta is None else RULES[options.step_rule](eta)
    made = {
        "gradient": lambda: methods.gradient_descent(rule, beta, gamma),
        "mirror": lambda: methods.mirror_descent(psi, rule, beta, nesterov=gamma),
        "natural": lambda: methods.natural_gradient(psi, rule),
        "steepest": lambda: methods.steepest_descent(
            _norm(options.norm or "l2", _shape(table, options)), rule),
        "coordinate": lambda: methods.coordinate_descent(rule),
        "adagrad": lambda: methods.adagrad(rule), "adam": lambda: methods.adam(rule),
        "rmsprop": lambda: methods.rmsprop(rule), "sign": lambda: methods.sign_descent(rule),
        "muon": lambda: methods.muon(rule, 0.95 if options.momentum is None else options.momentum),
        "dual_acceleration": methods.dual_acceleration,
    }[options.method]()
    return Plan(table.X, table.y, loss=options.loss, method=made, intercept=options.intercept,
                weights=table.weights)


def _consistent(options: argparse.Namespace) -> None:
    """Raise ValueError where an option is given that the method would ignore."""
    method, beta = options.method, options.momentum or 0.0
    _only_for(method, "norm", options.norm, "steepest")
    _only_for(method, "potential", options.potential, "mirror", "natural")
    ignored = method not in MOMENTUM or (method == "muon" and options.nesterov)
    if ignored and (beta or options.nesterov):
        raise ValueError(f"--momentum and --nesterov must be 0 for {method}, "
                         f"got {beta:g} and {options.nesterov:g}")
    chosen = options.step_size is not None or options.step_rule != "constant"
    if method == "dual_acceleration" and chosen:
        raise ValueError("--step-size and --step-rule must be left out for dual_acceleration, "
                         "which has steps of its own")


def _only_for(method: str, name: str, value: str | None, *takers: str) -> None:
    """Raise ValueError where an option is given to a method that does not take it."""
    if value is not None and method not in takers:
        raise ValueError(f"--{name} must be left out for {method}, got {value!r}: it is for "
                         f"{' and '.join(takers)}")


def _shape(table: data.Table, options: argparse.Namespace) -> tuple[int, ...]:
    """The shape of predictors."""
    return gather(table.X, table.y, options.loss, intercept=options.intercept).shape


def _norm(text: str, shape: tuple[int, ...]) -> Norm:
    known = checks.named(norms, Norm)
    shaped = {"spectral": norms.spectral, "nuclear": norms.nuclear}
    if text in shaped:
        if len(shape) != 2:
            raise ValueError(f"--norm {text} must have predictors that are matrices, got shape "
                             f"{shape}")
        return shaped[text](*shape)
    try:
        return known[text] if text in known else norms.lp(float(text))
    except ValueError:
        # ("l3" is what the number 3 is called elsewhere)
        power = text[1:] if text[:1] in ("l", "L") and text[1:].isdigit() else ""
        raise ValueError("--norm must be a number >= 1, inf, or one of "
                         f"{', '.join([*known, *shaped])}, got {text!r}"
                         f"{f': write --norm {power}' if power else ''}") from None


def _predicted(plan: Plan) -> Limit | NoTheorem:
    """What theory predicts for the plan, or the NoTheorem that says why it does not."""
    try:
        return plan.limit()
    except NoTheorem as reason:
        return reason


def _step_size(table: data.Table, options: argparse.Namespace) -> tuple[float, str]:
    """A step that works, and where it comes from: half of what theory admits, else by trial.

    For the squared loss the first guess is the curvature in the method's own geometry at start and
    limit, that of H(w)⁻¹ 2XᵀX; for a norm that is not quadratic, the ℓ2 curvature is only that, and
    the trial run decides.
    """
    plan = _plan(table, options, 1.0)
    problem = plan.problem
    if problem.loss.kind == "monotone":
        if problem.rule.radius:
            return 1.0, "Theorem 5's η₊"
        if problem.rule.loss:
            return 0.5 / radius(problem, problem.method.geometry) ** 2, "half of 1/B²"
        with suppress(NoTheorem):
            most = plan.max_step()
            return 0.5 * most.step_size, f"half of what theory admits: {most.theorem}"
        # (moves of a fixed length: no curvature bounds them)
        if problem.method.unscaled:
            return 1e-3, "small moves of fixed length"
    # of the squared loss, or a guess for losses that theory admits no step for
    largest = _curvature(plan)
    eta = 0.5 / largest if largest > 0 else 1.0
    for _ in range(HALVINGS):
        trial = _plan(table, options, eta).run(TRIAL, strict=False)
        first = trial.log_loss[0]
        falls = trial.log_loss[-1] <= first and (trial.log_loss <= first + RISE).all()
        if falls and trial.status not in FATAL:
            return eta, "from the curvature"
        eta /= 2
    raise ValueError("--step-size must be given: no step size under which the loss falls was found")


def _curvature(plan: Plan) -> float:
    """The largest curvature of the squared loss at the start and at the limit point, if any."""
    problem = plan.problem
    points, limit = [problem.start], _predicted(plan)
    if not isinstance(limit, NoTheorem) and limit.kind == "point":
        points.append(limit.w.ravel())
    largest = 0.0
    for w in points:
        rows: np.ndarray = problem.whole("a curvature is asked for").even[0]
        # R of a QR has the same products, and no more rows than columns
        if rows.shape[0] > rows.shape[1]:
            rows = np.asarray(np.linalg.qr(rows, mode="r"))
        solved = rows
        if isinstance(problem.method.geometry, Potential) and problem.outputs == 1:
            solved = np.array([problem.method.geometry.solve(w, row) for row in rows])
        with np.errstate(all="ignore"):
            products = 2.0 * rows @ solved.T
        if np.isfinite(products).all():
            largest = max(largest, float(np.abs(np.linalg.eigvals(products)).max()))
    return largest
