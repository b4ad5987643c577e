"""Section 6: separate steps for length and direction, where PyTorch trains."""

import math
from itertools import product
from typing import Any

import numpy as np

from gdnp.paper.claims.network_curvature import digits
from gdnp.paper.claims.problems import largest, torch_of
from gdnp.paper.claims.registry import Seen, check, seen

OPTIMIZERS = {"SGD": (0.3, 1.0, 3.0, 9.0), "Adam": (0.01, 0.03, 0.1, 0.3)}
"""With the rates to choose from, one for all parameters."""
MULTIPLES = (1.0 / 9.0, 1.0 / 3.0, 1.0, 3.0)
"""Of that rate, for the directions and for the lengths of the hidden layers."""
STEPS, TUNED, REPORTED = 30, (100, 101), range(5)


@check("separate-steps")
def separate_steps() -> Seen:
    """The final loss with the best two rates for direction and length, over that with the best one."""
    ratios, chosen = {}, {}
    for name, rates in OPTIMIZERS.items():
        rate = min(rates, key=lambda r, name=name: _loss(name, (r, r, r), TUNED))  # type: ignore[misc]
        pairs = {
            (i, j): _loss(name, (i * rate, j * rate, rate), TUNED) for i, j in product(MULTIPLES, repeat=2)
        }
        joint, apart = (
            min((p for p in pairs if p[0] == p[1]), key=pairs.__getitem__),
            min(pairs, key=pairs.__getitem__),
        )
        ends = [_loss(name, (i * rate, j * rate, rate), REPORTED) for i, j in (apart, joint)]
        ratios[name], chosen[name] = math.exp(ends[0] - ends[1]), apart
    shown = ", ".join(
        f"{name} {ratios[name]:.2f} (directions {i:.2g}, lengths {j:.2g} of the rate of the output layer)"
        for name, (i, j) in chosen.items()
    )
    return seen(largest(ratios.values()), shown=shown)


def _loss(name: str, rates: tuple[float, float, float], seeds: Any) -> float:
    """The mean log of the loss after training at the rates of direction, length and other."""
    torch = torch_of()
    from gdnp.nn import param_groups
    from gdnp.paper.figure3.training import build

    (X, y), logs, loss = digits(torch), [], torch.nn.functional.cross_entropy
    direction, length, other = ({"lr": rate} for rate in rates)
    for seed in seeds:
        model = build(64, 10, depth=3, width=20, normalised=True, seed=seed).double()
        groups = param_groups(model, loss(model(X), y), direction=direction, length=length, other=other)
        optimizer = getattr(torch.optim, name)(groups, lr=1.0)
        for _ in range(STEPS):
            optimizer.zero_grad()
            found = loss(model(X), y)
            found.backward()
            optimizer.step()
        logs.append(math.log(float(found.detach())))
    return float(np.mean(logs))
