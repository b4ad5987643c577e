"""``train_mlp``: Algorithm 2 on tensors, and the network that comes out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gdnp._typing import FloatArray
from gdnp.losses import Loss
from gdnp.nn.mlp import SampleMLP, TensorLoss, on_host
from gdnp.solvers.loop import Progress, Result
from gdnp.solvers.state import Method, Status
from gdnp.solvers.units import minimize_units


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
    loss: str | Loss | TensorLoss = "log_loss",
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
        Rows of shape (n, d), -1 and +1, Θ, ℓ and whether to subtract the column means, as for `SampleMLP`. A
        unit's best length grows like 1/θ_i.
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
        For shapes that do not fit, labels other than -1 and +1, or numbers outside their range.
    TypeError
        For an X that does not hold floating-point numbers, or a loss that cannot take tensors.

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
    begin = None if start is None else np.asarray(on_host(start), dtype=np.float64)
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
