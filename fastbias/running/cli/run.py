"""``run``: where a method goes on a table, and what theory says of that."""
from __future__ import annotations

import argparse
from math import log
from typing import Any

import numpy as np

from fastbias import checks
from fastbias.running.cli import shown
from fastbias.running.cli.files import draw, looked_at, plot_option
from fastbias.running.cli.plans import plan_of, plan_parser
from fastbias.running.cli.table import add_command, read
from fastbias.running.plan import Plan
from fastbias.solvers.limit import Limit, NoTheorem
from fastbias.trace import RunStopped, Trace

__all__ = ["add", "predicted", "steps_parser"]

STOPPED, INTERRUPTED = 1, 130


def add(commands: Any, table: argparse.ArgumentParser) -> None:
    """The command."""
    run = add_command(commands, "run", _run, "run a method on a table and say where it went and "
                      "what theory predicts", "fastbias run my.csv --loss logistic --method "
                      "steepest --norm l1 --steps 1e5 --plot loss.png",
                      table, plan_parser(), steps_parser())
    run.add_argument("--fast-forward", type=float, metavar="LOG_T", help="go on to t = e^LOG_T, "
                     "beyond --steps, in the field of the method, where it has one")
    run.add_argument("--out", help="write the trace to this NPZ file")
    plot_option(run, "the loss")
    run.add_argument("--quiet", action="store_true", help="no progress bar")


def steps_parser() -> argparse.ArgumentParser:
    """How long to run."""
    part = argparse.ArgumentParser(add_help=False)
    part.add_argument("--steps", type=float, default=1e6, help="how many updates (default 1e6)")
    part.add_argument("--until", type=float, help="stop once the log loss is at or under this")
    return part


def _run(options: argparse.Namespace) -> int:
    table = read(options)
    looked_at(options)
    steps = checks.whole("--steps", options.steps)
    if options.until is not None:
        checks.number("--until", options.until)
    if options.fast_forward is not None:
        checks.number("--fast-forward", options.fast_forward, above=0, least=log(max(steps, 1)))
    plan = plan_of(table, options)
    rule, problem = plan.problem.rule, plan.problem
    if rule.chosen:
        print(f"step size {rule.params[0]:.4g}, {rule.chosen} (choose with --step-size)")
    print(f"{problem.X.shape[0]} rows, {len(table.names)} columns"
          f"{' and an intercept' if options.intercept else ''}; {problem.loss.name} loss; "
          f"{_short(plan)}")
    shown.labels(table, problem.classes)
    trace, code = _went(plan, options)
    # (what was chosen has been said)
    print(trace.message.partition("; step size ")[0])
    if options.fast_forward is not None and code == 0:
        trace, code = _forwarded(plan, trace, options.fast_forward)
    when = f"t = {trace.t[-1]}" if trace.t[-1] >= 0 else f"log t = {trace.log_t[-1]:g}"
    print(f"where it went: {when}, log loss {trace.log_loss[-1]:.6g}")
    limit = predicted(plan)
    _compare(trace, limit, shown.names(table, options.intercept, problem.shape, problem.classes))
    print(f"what theory says: {limit}")
    if not isinstance(limit, NoTheorem):
        print(f"distance to it: {trace.gap(limit)[-1]:.3g}")
    if options.out:
        trace.save(options.out)
        print(f"wrote {options.out}")
    draw(options, trace.plot)
    return code


def _short(plan: Plan) -> str:
    """The method, without what its step size rests on."""
    told, rule = repr(plan.problem.method), plan.problem.rule
    return told.replace(f", chosen: {rule.chosen}", "") if rule.chosen else told


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


def _forwarded(plan: Plan, trace: Trace, log_t: float) -> tuple[Trace, int]:
    """The trace with where it is fast-forwarded to, and the exit code."""
    try:
        far = plan.fast_forward(log_t)
    except NoTheorem as reason:
        print(f"no fast-forward: {reason}")
        return trace, STOPPED
    print(far.message)
    return trace.join(far), 0


def _compare(trace: Trace, limit: Limit | NoTheorem, names: list[str]) -> None:
    """Print where a run went beside where theory sends it."""
    end, goal = trace.w[-1].ravel(), None
    if not isinstance(limit, NoTheorem):
        goal = limit.w.ravel()
        if limit.kind == "direction":
            print("  (its direction, and the predicted one, both of ℓ2 length 1)")
            end = end / (np.linalg.norm(end) or 1.0)
            goal = goal / np.linalg.norm(goal)
    shown.weights(names, end, goal)


def predicted(plan: Plan) -> Limit | NoTheorem:
    """What theory predicts for the plan, or the NoTheorem that says why it does not."""
    try:
        return plan.limit()
    except NoTheorem as reason:
        return reason
