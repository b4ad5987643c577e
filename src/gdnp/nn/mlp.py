"""The MLP with one hidden layer (Eq. 20) on data, trained by Algorithm 2 on the device of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.losses import Loss, checked_loss
from gdnp.metric import Covariance
from gdnp.population.network import checked_theta
from gdnp.problem.hidden_unit import UnitDerivatives, UnitLoss, activation_slope, unit_derivatives
from gdnp.problem.interface import Cost, Expansion, Objective, Point
from gdnp.solvers.loop import Progress, Result
from gdnp.solvers.state import Method, Status
from gdnp.solvers.units import minimize_units
from gdnp.validation import checked_targets, checked_weights

ROWS = 65_536


class SampleMLP:
    """f_nn(W̃) = (1/n) Σ_rows ℓ(Σ_i θ_i tanh(zᵀw̃_i)), z = -y (x - x̄): Eq. 20 on rows of data.

    The rows stay where they are: a point costs a product with the n x d matrix z on its device, and vectors
    alone cross to the host. There functions of the pre-activations are evaluated and averaged in float64,
    whatever the dtype of X.

    Parameters
    ----------
    X : tensor or array of shape (n, d)
        float32 or float64, on any device; one centred copy of it is kept.
    y : tensor or array of shape (n,)
        Two labels, the lesser of which stands for -1.
    theta : tensor or array of shape (m,)
        Θ, finite and without zeros.
    loss : str or Loss
        ℓ, a classification loss.
    center : bool
        Subtract the column means, as Assumption 1 asks; without it x̄ is 0 throughout.

    Attributes
    ----------
    z : tensor of shape (n, d)
        -y (x - x̄), in the dtype and on the device of X.
    mean : tensor of shape (d,)
        x̄.
    u, covariance : ndarray of shape (d,), Covariance
        Eq. 1 on these rows, in float64.
    cost : Cost
        Passes over z.

    Raises
    ------
    ValueError
        For shapes that do not fit, labels of other than two classes, values that are not finite, a constant
        X, or a loss that is not for classification.
    TypeError
        For an X that does not hold floating-point numbers.
    """

    def __init__(
        self,
        X: Tensor | ArrayLike,
        y: Tensor | ArrayLike,
        theta: Tensor | ArrayLike,
        loss: str | Loss = "log_loss",
        *,
        center: bool = True,
    ) -> None:
        rows = _checked_rows(X)
        self.loss: Final = checked_loss(loss)
        if self.loss.task != "classification":
            raise ValueError(f"loss must be one for classification. Got {self.loss.name!r}.")
        labels = checked_targets(_host(y), len(rows), self.loss)
        checked_weights(None, labels, self.loss)  # both classes are there
        self.theta: Final = checked_theta(_host(theta))
        self.n_units, self.n_features = self.theta.size, rows.shape[1]
        self.mean = rows.mean(0) if center else torch.zeros_like(rows[0])
        self.z: Final = -torch.tensor(labels).to(rows)[:, None] * (rows - self.mean)
        self.cost: Final = Cost()
        self.u: Final[FloatArray] = _host(self.z.mean(0, dtype=torch.float64))
        blocks = (rows.double() for rows in torch.split(self.z, ROWS))
        self.covariance: Final = Covariance(_host(sum(rows.T @ rows for rows in blocks)) / len(self.z))
        self.r: Final = self.covariance.dual_norm(self.u) ** 2
        if not self.r > 0.0:
            raise ValueError(
                "X must tell the classes apart on average. Got E[-y x] = 0: no direction is best."
            )

    def unit(self, i: int, coef: FloatArray) -> Objective:
        """f^(i): the objective as a function of w̃_i alone, a ``gdnp.problem.interface.Objective``."""
        if np.shape(coef) != (self.n_units, self.n_features):
            raise ValueError(f"coef must have shape {(self.n_units, self.n_features)}. Got {np.shape(coef)}.")
        return _Unit(self, i, coef)

    def value(self, coef: ArrayLike) -> float:
        """f_nn at W̃ of shape (m, d)."""
        coef = np.asarray(coef, dtype=np.float64)
        return self.unit(0, coef).at(coef[0]).value

    def gradient(self, coef: ArrayLike) -> FloatArray:
        """∇f_nn of shape (m, d)."""
        coef = np.asarray(coef, dtype=np.float64)
        return np.stack([self.unit(i, coef).at(row).gradient for i, row in enumerate(coef)])

    def margins(self, w: FloatArray) -> FloatArray:
        """The n numbers zᵀw in float64: half a pass."""
        self.cost.charge(0.5)
        return np.asarray(_host(self.z @ torch.as_tensor(w).to(self.z)), dtype=np.float64)

    def pull_back(self, residual: FloatArray) -> FloatArray:
        """(1/n) zᵀ residual, shape (d,): half a pass."""
        self.cost.charge(0.5)
        total = _host(self.z.T @ torch.as_tensor(residual).to(self.z))
        return np.asarray(total, dtype=np.float64) / len(self.z)


class _Unit:
    """f^(i) on data; see ``gdnp.population`` for the same under Assumption 2.

    ``stein_coefficient`` is Ξ of Eq. 101 with averages over the rows for expectations, and for c_j the
    coefficient of w̃_j's projection on S⁻¹u in S, uᵀw̃_j/r: where the other units are on that line, it is c_j.
    """

    alpha: Final = 0.0
    fit_intercept: Final = False
    gram_passes: Final = 0.0  # S is formed with the network, once for all units
    length_cap: Final = 1e6

    def __init__(self, network: SampleMLP, i: int, coef: FloatArray) -> None:
        self.network, self.theta = network, float(network.theta[i])
        self.n_features, self.cost = network.n_features, network.cost
        self.u, self.covariance = network.u, network.covariance
        self.loss: Loss = UnitLoss(network.loss.derivatives, self.theta, float(np.abs(network.theta).sum()))
        zero = network.margins(np.zeros(network.n_features))
        self.rest, self.pull = zero, zero
        for j, row in enumerate(coef):
            if j != i and np.any(row):
                t, theta = network.margins(row), float(network.theta[j])
                c = float(network.u @ row) / network.r
                self.rest = self.rest + theta * np.tanh(t)
                self.pull = self.pull + ((1.0 - network.r) * theta * c) * activation_slope(t)
        self.origin: Final = _Point(self, np.zeros(self.n_features), zero)

    def at(self, coef: FloatArray, intercept: float = 0.0) -> _Point:
        coef = np.array(coef, dtype=np.float64)
        return _Point(self, coef, self.network.margins(coef))

    def stein_coefficient(self, point: Point) -> float:
        return point.mean_gradient - float(self.u @ point.coef) * point.mean_curvature

    def raw_intercept(self, coef: FloatArray, intercept: float) -> float:
        return intercept

    def slope(self, t: FloatArray) -> FloatArray:
        """ψ' alone, which is all that a bisection asks for."""
        outer = self.network.loss.gradient(self.rest + self.theta * np.tanh(t))
        return self.theta * activation_slope(t) * outer

    def psi(self, t: FloatArray) -> UnitDerivatives:
        return unit_derivatives(self.network.loss.derivatives, self.theta, self.rest, t)


@dataclass(frozen=True, eq=False)
class _Point:
    """w̃ with its pre-activations."""

    unit: _Unit
    coef: FloatArray
    t: FloatArray

    intercept = 0.0
    intercept_gradient = 0.0
    separates = False

    @cached_property
    def _psi(self) -> UnitDerivatives:
        return self.unit.psi(self.t)

    @cached_property
    def _means(self) -> list[float]:
        psi = self._psi
        return [_mean(each) for each in (psi.value, psi.slope + psi.cross * self.unit.pull, psi.curvature)]

    @property
    def value(self) -> float:
        return self._means[0]

    @property
    def mean_gradient(self) -> float:
        return self._means[1]

    @property
    def mean_curvature(self) -> float:
        return self._means[2]

    @cached_property
    def gradient(self) -> FloatArray:
        return self.unit.network.pull_back(self._psi.slope)

    def line(self, direction: FloatArray) -> _Line:
        return _Line(self, direction, self.unit.network.margins(direction))


@dataclass(frozen=True, eq=False)
class _Line:
    """f^(i) along w̃ + t d, given the pre-activations of both."""

    start: _Point
    direction: FloatArray
    d: FloatArray

    def expansion(self, t: float, c: float = 0.0) -> Expansion:
        at = self.start.t + t * self.d
        found = _Expansion(0.0, _mean(self.start.unit.slope(at) * self.d), 0.0, 0.0, 0.0, 0.0)
        found.line, found.at = self, at
        return found

    def point(self, t: float, c: float = 0.0, *, last: bool = False) -> _Point:
        return _Point(self.start.unit, self.start.coef + t * self.direction, self.start.t + t * self.d)


class _Expansion(Expansion):
    """Value and curvature when they are asked for: a bisection asks for slopes alone."""

    line: _Line
    at: FloatArray

    @cached_property
    def _rest(self) -> list[float]:
        psi, d = self.line.start.unit.psi(self.at), self.line.d
        return [_mean(psi.value), _mean(psi.curvature * d * d)]

    value = property(lambda self: self._rest[0])
    f_tt = property(lambda self: self._rest[1])


def _host(values: Any) -> Any:
    """A small tensor from any device as an array, and what is an array already."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _mean(column: FloatArray) -> float:
    return float(np.add.reduce(column)) / len(column)


def _checked_rows(X: Any) -> Tensor:
    if isinstance(X, np.ndarray) and not X.flags.writeable:
        X = X.copy()  # PyTorch warns of sharing what must not be written to
    rows = torch.as_tensor(X).detach()
    if rows.ndim != 2 or rows.numel() == 0:
        raise ValueError(f"X must have shape (n, d). Got {tuple(rows.shape)}.")
    if rows.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"X must hold float32 or float64. Got {rows.dtype}; convert it first.")
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("X must be finite. Got NaN or infinity; drop those rows.")
    return rows


@dataclass(frozen=True, eq=False)
class MLPResult:
    """What ``train_mlp`` found; tensors have the dtype and the device of X.

    Attributes
    ----------
    coef : tensor of shape (m, d)
        W̃: one row a hidden unit, in the raw coordinates of X.
    intercept : tensor of shape (m,)
        -x̄ᵀw̃_i, which centres the columns; 0 where they were not centred.
    direction : tensor of shape (m, d)
        w̃_i/‖w̃_i‖_S.
    length : tensor of shape (m,)
        ‖w̃_i‖_S.
    theta : tensor of shape (m,)
        Θ, as given.
    objective : float
        f_nn.
    gradient_norm : float
        Of all units together, in S⁻¹.
    status : Status
        How the training ended; ``status.message`` says it in a sentence.
    history : dict of str to ndarray of shape (n_sweeps + 1,)
        ``objective`` and ``gradient_norm`` after each sweep, start included.
    runs : tuple of tuple of Result
        ``runs[sweep][i]``: the run of unit i, with its own status and history.
    """

    coef: Tensor
    intercept: Tensor
    direction: Tensor
    length: Tensor
    theta: Tensor
    objective: float
    gradient_norm: float
    status: Status
    history: dict[str, FloatArray]
    runs: tuple[tuple[Result, ...], ...]

    def module(self) -> torch.nn.Sequential:
        """The trained network F: (n, d) -> (n, 1) for raw rows; sign(F) is the label.

        It is Linear, Tanh, Linear, with parameters of its own that can be trained further.
        """
        m, d = self.coef.shape
        # On "meta" nothing is drawn at random, and nothing allocated for what is about to be replaced.
        hidden = torch.nn.Linear(d, m, device="meta")
        output = torch.nn.Linear(m, 1, bias=False, device="meta")
        hidden.weight = torch.nn.Parameter(self.coef.clone())
        hidden.bias = torch.nn.Parameter(self.intercept.clone())
        output.weight = torch.nn.Parameter(self.theta[None].clone())
        return torch.nn.Sequential(hidden, torch.nn.Tanh(), output)


def train_mlp(
    X: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    theta: Tensor | ArrayLike,
    *,
    loss: str | Loss = "log_loss",
    center: bool = True,
    method: Method | str = "gdnp",
    start: Tensor | ArrayLike | None = None,
    sweeps: int = 1,
    max_iter: int = 100,
    tol: float = 1e-6,
    callback: Callable[[int, int, Progress], object] | None = None,
) -> MLPResult:
    """Train the hidden units of an MLP one after the other, each by GDNP (Algorithm 2).

    F_x = Σ_i θ_i tanh(xᵀw̃_i) is trained on E ℓ(-y F_x) (Eq. 20) with the output weights Θ frozen. On Gaussian
    data each unit's direction converges linearly, for any ℓ, at the rate of least squares (Theorem 3); one
    sweep, as printed, is not a critical point of the whole.

    Parameters
    ----------
    X, y, theta, loss, center
        Rows of shape (n, d), two labels, Θ, ℓ and whether to subtract the column means, as for `SampleMLP`.
        A unit's best length grows like 1/θ_i.
    method : Method or str
        What trains a unit: a preset of ``gdnp.methods``; ``"gdnp_metric"`` needs far fewer steps.
    start : tensor or array of shape (m, d) or None
        w₀ of each unit, with uᵀw₀ ≠ 0; None: u = E[-y x] for all.
    sweeps : int
        One as printed.
    max_iter : int
        T_d, steps at most in each run of a unit.
    tol : float
        Gradient norm in S⁻¹, relative to its value at W̃ = 0, at which a unit's run and the sweeps end.
        float32 data seldom allow less than 1e-6.
    callback : callable or None
        Called with the sweep, the unit and a ``gdnp.Progress`` after every step.

    Raises
    ------
    ValueError
        For shapes that do not fit, labels of other than two classes, or numbers outside their range.
    TypeError
        For an X that does not hold floating-point numbers.

    Examples
    --------
    >>> from gdnp.datasets import gaussian_design
    >>> data = gaussian_design(1000, 5, kappa=10.0, seed=0)
    >>> result = train_mlp(data.X, data.y, theta=[1.0, 1.0], method="gdnp_metric", sweeps=2)
    >>> logits = result.module()(torch.as_tensor(data.X))
    >>> bool(((logits[:, 0] > 0) == (torch.as_tensor(data.y) > 0)).double().mean() > 0.75)
    True
    """
    network = SampleMLP(X, y, theta, loss, center=center)
    begin = None if start is None else np.asarray(_host(start), dtype=np.float64)
    found = minimize_units(
        network, method, start=begin, sweeps=sweeps, max_iter=max_iter, tol=tol, callback=callback
    )

    def on_device(array: ArrayLike) -> Tensor:
        return torch.as_tensor(array, dtype=network.z.dtype, device=network.z.device)

    coef, lengths = on_device(found.coef), [network.covariance.norm(row) for row in found.coef]
    length = on_device(lengths)
    return MLPResult(
        coef=coef,
        intercept=-(coef @ network.mean),
        direction=coef / torch.where(length > 0.0, length, 1.0)[:, None],
        length=length,
        theta=on_device(network.theta),
        objective=found.objective,
        gradient_norm=found.gradient_norm,
        status=found.status,
        history=found.history,
        runs=found.runs,
    )
