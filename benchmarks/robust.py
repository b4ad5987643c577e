"""Passes of robust fits whose curvature vanishes: shapes, ratios of residuals to delta, ridges.

    python benchmarks/robust.py

Rows have correlated columns in units of their own and noise of Student's t with 2 degrees of freedom.
"""

from __future__ import annotations

import numpy as np

from gdnp import GDNPRegressor

SHAPES = ((60, 2), (200, 20), (3000, 20), (500, 40), (100, 50), (400, 50), (5000, 50))
DELTAS = (1.0, 1e-4, 1e-9)
ALPHAS = (0.0, 1e-4)
LOSSES = ("huber", "pseudo_huber")


def drawn(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """X and y."""
    rng = np.random.default_rng([n, d])
    X = rng.standard_normal((n, d)) @ (np.eye(d) + 0.3 * rng.standard_normal((d, d)))
    X = X * 10.0 ** rng.uniform(-2.0, 2.0, d) + rng.standard_normal(d)
    signal = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.standard_normal(d) / np.sqrt(d)
    return X, 2.0 * signal + rng.standard_t(2, n)


def passes(n: int, d: int, **options: object) -> tuple[float, str]:
    """Passes of a fit, and how it ended."""
    model = GDNPRegressor(n_jobs=1, **options).fit(*drawn(n, d))
    return float(model.history_["passes"][-1]), model.certificate_.status.name


def main() -> None:
    print("| rows | columns | passes, fewest | mean | most | converged |")
    print("|---|---|---|---|---|---|")
    for n, d in SHAPES:
        found = [
            passes(n, d, loss=loss, delta=delta, alpha=alpha)
            for delta in DELTAS
            for alpha in ALPHAS
            for loss in LOSSES
        ]
        some = [count for count, _ in found]
        done = sum(status == "CONVERGED" for _, status in found)
        numbers = f"{min(some):.0f} | {np.mean(some):.0f} | {max(some):.0f}"
        print(f"| {n} | {d} | {numbers} | {done} of {len(found)} |")


if __name__ == "__main__":
    main()
