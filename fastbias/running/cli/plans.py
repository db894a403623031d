"""A plan from options: its loss, model, start and method, each an expression of `words`."""
from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from fastbias import data
from fastbias.pieces import steps
from fastbias.pieces.losses import Loss
from fastbias.pieces.methods import Method
from fastbias.pieces.norms import Norm
from fastbias.problem import gather
from fastbias.running import template
from fastbias.running.cli.words import Words, factories, parameters, takers
from fastbias.running.plan import Plan

__all__ = ["norm_of", "plan_of", "plan_parser"]

# what `--potential` and its like are called in the factories of methods
ARGUMENTS = {"potential": ("potential",), "norm": ("norm",),
             "momentum": template.ARGUMENTS["momentum"], "nesterov": ("nesterov",),
             "step_size": (*template.ARGUMENTS["step_size"], "epsilon"),
             "seed": template.ARGUMENTS["seed"]}
USUAL = {"potential": "euclidean", "norm": "l2", "step_size": steps.AUTO}


def plan_parser() -> argparse.ArgumentParser:
    """The arguments that describe a plan."""
    part = argparse.ArgumentParser(add_help=False)
    part.add_argument("--loss", required=True, help="squared, logistic, 'huber(0.5)' ... of "
                      "fb.losses")
    part.add_argument("--method", required=True, help="of fb.methods: gradient, adam, "
                      "'mirror_descent(potential=hypentropy(beta=1e-3), step_size=0.1)', or the "
                      "same as mirror:potential=...,step_size=0.1; a name is enough of which there "
                      "is one that begins so")
    part.add_argument("--model", default="linear", help="of fb.models, such as 'diagonal(2, "
                      "signed=True)' (default linear); X stands for the data")
    part.add_argument("--start", help="where to start, as a list; of a model that is not linear "
                      "the scale of model.start will do")
    part.add_argument("--potential", help="for methods that take one, of fb.potentials (default "
                      "euclidean)")
    part.add_argument("--norm", help="for methods that take one: a number p >= 1, inf, or of "
                      "fb.norms (default l2)")
    part.add_argument("--momentum", type=float, help="beta: of the dual variable for mirror "
                      "descent, eq. (7) (default: what the method has)")
    part.add_argument("--nesterov", type=float, help="gamma, eqs. (3), (7)")
    part.add_argument("--step-size", help="eta: a number, one for each update with commas between "
                      "them, 'power(0.1, 0.5)' or another of fb.steps, or auto (default): what "
                      "theory admits, or from the curvature")
    part.add_argument("--step-rule", choices=_rules(), default="constant", help="eta itself, "
                      "eta/L, or min(eta, 1/(B^2 L)) of Theorem 5 (default constant)")
    part.add_argument("--seed", type=int, help="of what is drawn: batches, ties, the start of a "
                      "model")
    return part


def _rules() -> list[str]:
    """The step rules that one number makes."""
    return [name for name, make in factories("rule").items()
            if [x.name for x in parameters(make).values() if x.default is x.empty]
            in (["eta"], ["eta_plus"])]


def plan_of(table: data.Table, options: argparse.Namespace, grid: Iterable[str] = ()) -> Plan:
    """The plan that the options describe, as a template that a grid of these names varies."""
    loss: Loss = Words("--loss").piece("loss", options.loss)
    shape = gather(table.X, table.y, loss, intercept=options.intercept).shape
    model = Words("--model", {"X": table.X}, shape=shape).piece("model", options.model)
    method = _method(table, options, shape)
    # (before a step size is chosen, which may take long)
    template.accepted(method, grid)
    return Plan(table.X, table.y, loss=loss, method=method, model=model,
                start=_start(options, model), intercept=options.intercept, weights=table.weights)


def norm_of(text: str, shape: tuple[int, ...]) -> Norm:
    """The norm of predictors that an option says."""
    made: Norm = Words("--norm", shape=shape).piece("norm", text)
    return made


def _method(table: data.Table, options: argparse.Namespace, shape: tuple[int, ...]) -> Method:
    """The method, whose arguments are in its expression or in options of their own."""
    given = {"momentum": options.momentum, "nesterov": options.nesterov, "seed": options.seed,
             "step_size": _step_size(options)}
    for kind in ("potential", "norm"):
        text = getattr(options, kind)
        words = Words(f"--{kind}", {"X": table.X}, shape=shape)
        given[kind] = None if text is None else words.piece(kind, text)
    fill = {word: USUAL.get(name) if value is None else value
            for name, value in given.items() for word in ARGUMENTS[name]}
    words = Words("--method", {"X": table.X}, fill, shape=shape)
    made: Method = words.piece("method", options.method)
    _consistent(options, given, words.filled)
    return made


def _step_size(options: argparse.Namespace) -> Any:
    """The step size, where one is asked for: a number, a list, "auto", or a rule."""
    text, rule = options.step_size, options.step_rule
    value = None if text is None else Words("--step-size").value("rule", text)
    if rule == "constant":
        return value
    if not isinstance(value, int | float | str | None):
        raise ValueError(f"--step-rule must be left out beside --step-size {text}, got {rule}")
    return factories("rule")[rule](steps.AUTO if value is None else value)


def _start(options: argparse.Namespace, model: Any) -> Any:
    """Where to start: None, a list, or what a model makes of a scale."""
    if options.start is None:
        return None
    value = Words("--start").value(None, options.start)
    if model.linear or isinstance(value, list):
        return value
    return model.start(value, rng=options.seed)


def _consistent(options: argparse.Namespace, given: dict[str, Any], filled: set[str]) -> None:
    """Raise ValueError where an option is given that the method does not take, or has already."""
    ignored = {name for name, value in given.items()
               if value is not None and not filled & set(ARGUMENTS[name])}
    method = options.method
    numbers = [given[name] or 0.0 for name in ("momentum", "nesterov")]
    if {"momentum", "nesterov"} & ignored and any(numbers):
        raise ValueError(f"--momentum and --nesterov must be 0 for {method}, got {numbers[0]:g} "
                         f"and {numbers[1]:g}")
    for name in sorted(ignored - {"momentum", "nesterov", "seed"}):
        label = "--" + name.replace("_", "-")
        if name == "step_size":
            label = "--step-size and --step-rule"
        told = " and ".join(sorted({x for word in ARGUMENTS[name] for x in takers(word)}))
        raise ValueError(f"{label} must be left out for {method}, which has its own: it is for "
                         f"{told}")
