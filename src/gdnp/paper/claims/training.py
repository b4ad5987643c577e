"""Sections 5.3 and 6: what training networks shows, by runs of seconds, and by kept curves of longer ones."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from gdnp.paper.claims.problems import largest, torch_of
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.paper.figure3 import experiment

KEPT = {name: Path(experiment.__file__).with_name(f"{name}.json") for name in ("curves", "fewer", "equal")}
"""10 000 images, 2000 images, and one seed of 10 000 with one step for both networks: settings and results,
as ``benchmarks/figure3.py`` writes them."""
HALVES = {"decay": "decay under BN to less than half", "elevated": "stay above half without BN"}


OPTIMIZERS = {"SGD": (0.3, 1.0, 3.0, 9.0), "Adam": (0.01, 0.03, 0.1, 0.3)}
"""With the rates to choose from, one for all parameters."""
MULTIPLES = (1.0 / 9.0, 1.0 / 3.0, 1.0, 3.0)
"""Of that rate, for the directions and for the lengths of the hidden layers."""
STEPS, TUNED, REPORTED = 30, (100, 101), range(5)


def digits(torch: Any) -> tuple[Any, Any]:
    """300 digits of scikit-learn, centred, and their labels."""
    data = load_digits()
    X = torch.as_tensor((data.data[:300] - data.data[:300].mean(axis=0)) / 8.0)
    return X, torch.as_tensor(data.target[:300])


@check("figure-3-upstream")
def figure_3_upstream() -> Seen:
    """‖∂²f/∂W₄∂W_i‖_F: roots of the sums of squares, upstream over downstream, with and without BatchNorm."""
    torch = torch_of()
    from gdnp.nn import cross_dependency
    from gdnp.paper.figure3.training import build, descent

    (X, y), loss, logs = digits(torch), torch.nn.functional.cross_entropy, []
    for normalised, seed in product((True, False), range(3)):
        model = build(64, 10, depth=6, width=20, normalised=normalised, seed=seed).double()
        for step, _ in enumerate(descent(model, X, y, 0.1, 61)):
            if step in (0, 20, 60):
                found = cross_dependency(model, loss, X, y, "W4", probes=8)
                norms = [found[f"W{k}"][0] if k != 4 else 0.0 for k in range(1, 8)]
                logs.append(math.log(float(np.linalg.norm(norms[:3]) / np.linalg.norm(norms[4:]))))
    ratios = np.exp(np.reshape(logs, (2, 3, 3)).mean(axis=1))
    with_bn, without = (", ".join(f"{ratio:.2f}" for ratio in row) for row in ratios)
    return seen(1.0 / float(ratios.min()), with_bn=with_bn, without=without)


def kept_summary(path: Path) -> dict[str, Any]:
    """What came out of a run whose curves are kept."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return experiment.Figure3().summarise(document["settings"], document["results"])


@check("figure-3-downstream")
def figure_3_downstream() -> Seen:
    """In how many runs each half of the sentence fails, within the first 1000 iterations."""
    shares: dict[str, list[float]] = {half: [] for half in HALVES}
    shown, failed = [], 0
    for size in ("curves", "fewer"):
        found = kept_summary(KEPT[size])
        told = []
        for entry in found["verdicts"]:
            basis = entry["basis"], entry["measure"], entry["expected"]
            if basis == ("iterations", "raw", True) and entry["id"] in HALVES:
                shares[entry["id"]].append(entry["holds"] / entry["of"])
                failed += entry["of"] - entry["holds"]
                told.append(
                    f"{HALVES[entry['id']]} in {entry['holds']} of {entry['of']} seeds (ratio "
                    f"{entry['value']:.2g})"
                )
        steps = ", ".join(f"{name} {entry['step']:g}" for name, entry in found["networks"].items())
        shown.append(f"{found['data']['label']} (steps {steps}): {'; '.join(told)}")
    both_ways = all(sorted(share) == [0.0, 1.0] for share in shares.values())
    return seen(failed, instead=both_ways, shown=". ".join(shown))


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
