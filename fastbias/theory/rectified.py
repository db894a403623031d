"""Networks of rectified units: the variation norm of Chizat & Bach (2020), and what is unknown."""
from __future__ import annotations

from fastbias.problem import Problem
from fastbias.solvers import relu
from fastbias.solvers.kinks import points_of
from fastbias.solvers.limit import Hypothesis, Limit, NoTheorem

__all__ = ["BACH", "DECAYED", "SQUARED", "VARIATION", "conditions", "units", "variation",
           "widest_network"]

BACH = "Chizat, Bach (2020)"
VARIATION = "the maximum margin in the variation norm of infinitely wide networks"
SQUARED = ("no function of the network is known that gradient descent on the squared loss brings "
           "to its least: of ReLU networks with one hidden layer no data-independent one describes "
           "the limit (Vardi & Shamir 2021; nor of others with one hidden unit, Zhang, Xu, Luo, "
           "Zhang 2022), though for inputs that are orthogonal small starts go "
           "to the least variation norm (Boursier, Pillaud-Vivien, Flammarion 2022); the nearest "
           "are fb.relu.fit(X, y, \"counted\", offset=False), which runs may come near, and weight "
           "decay")
DECAYED = ("weight decay ends at a stationary point of L(F(u)) + ½λ‖u‖²; of infinitely many units "
           "the least of it, as λ → 0, is at the network of least cost with biases counted through "
           "the data, ½‖u‖² → fb.relu.fit(X, y, \"counted\", offset=False).cost, for losses with a "
           "root, and in direction fb.relu.margin(X, y) for monotone ones; that gradient descent "
           "comes there is not proved, and an offset is decayed as well")


def units(problem: Problem) -> bool:
    """Whether the model is one of rectified units."""
    return problem.model.rectified is not None


def variation(problem: Problem) -> bool:
    """Whether predictions are values of a homogeneous network of rectified units, one a sample."""
    return points_of(problem) is not None


def conditions(problem: Problem) -> list[Hypothesis]:
    """What the theorem asks that no finite network can show."""
    k = problem.model.split(problem.start, problem.size)[0].size
    return [Hypothesis("infinitely many units, whose directions at the start fill the sphere, with "
                       "weights of both signs", None,
                       f"these are {k}: of finite width all that is known is a stationary point in "
                       "the parameters (Lyu & Li 2020; Ji & Telgarsky 2020), which need not even "
                       "be a local optimum (Vardi, Shamir, Srebro 2022)"),
            Hypothesis("the weights of the samples, e^(−m_n) normalised, converge", None,
                       f"{BACH}: assumed there, seen only in a run"),
            Hypothesis("the flow of the measure of units is well defined and its limit is not "
                       "degenerate", None, f"{BACH}: assumed there")]


def widest_network(problem: Problem) -> Limit:
    """The maximum margin in the variation norm, certified; w are its values, at a norm of one."""
    points, all_ = points_of(problem), problem.model.rectified
    assert points is not None
    assert all_ is not None
    try:
        found = relu.margin(points, problem.y)
    except (ValueError, ArithmeticError) as error:
        raise NoTheorem(f"{VARIATION} was not found: {error}", BACH) from None
    w = found.network(all_) * found.margin
    return Limit(w, "direction", VARIATION, BACH, (), found.certified, found.duality_gap,
                 found.dual, found.margin, asked=found)
