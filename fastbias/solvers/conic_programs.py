"""Cone programs, by cvxpy and Clarabel, with an end: a limit of time, and Ctrl-C is answered."""
from __future__ import annotations

from functools import cache
from time import process_time
from typing import Any

from fastbias.checks import foreign

__all__ = ["PATIENCE", "solve_cone"]

# seconds for a program, at all the tolerances that it is tried at: of this process, where its
# solver can be told (HiGHS counts those of the clock)
PATIENCE = 60.0


def solve_cone(program: Any, until: float | None = None, **options: Any) -> None:
    """Solve a cvxpy problem as `cvxpy.Problem.solve` does, from cold.

    `foreign.Unsolved` where `time.process_time` has come to ``until``, in `PATIENCE` seconds unless
    it is said, between two steps of the solver. A warm start would keep the scaling that suited the
    first values of the parameters.
    """
    solver = _clarabel()
    solver.until = process_time() + PATIENCE if until is None else until
    program.solve(solver, warm_start=False, **options)


@cache
def _clarabel() -> Any:
    """Clarabel as cvxpy knows it, but for what it is told between two steps."""
    module: Any = foreign.library("cvxpy.reductions.solvers.conic_solvers.clarabel_conif")
    names: Any = foreign.library("cvxpy.settings")
    clarabel, sparse = foreign.library("clarabel"), foreign.library("scipy.sparse")

    class Patient(module.CLARABEL):
        until = float("inf")

        def name(self) -> str:
            return "CLARABEL with an end"

        def solve_via_data(self, data: dict[str, Any], _warm: bool, verbose: bool,
                           options: dict[str, Any], _cache: Any = None) -> Any:
            c, ended = data[names.C], False
            P = data[names.P] if names.P in data else sparse.csc_array((c.size, c.size))
            if not hasattr(clarabel.DefaultSolver, "set_termination_callback"):
                options = options | {"time_limit": max(self.until - process_time(), 0.0)}
            with foreign.uninterrupted() as came:
                solver = clarabel.DefaultSolver(
                    sparse.triu(P).tocsc(), c, data[names.A], data[names.B],
                    module.dims_to_solver_cones(data[self.DIMS]),
                    self.parse_solver_opts(verbose, options))

                def end(_info: Any) -> bool:
                    # (what it raised would be lost)
                    nonlocal ended
                    ended = bool(came) or process_time() > self.until
                    return ended
                if "time_limit" not in options:
                    solver.set_termination_callback(end)
                solution = solver.solve()
            if ended:
                raise foreign.Unsolved("a cone program could not be solved in time")
            return solution
    return Patient()
