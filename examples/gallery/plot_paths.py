"""
Who finds the direction?
========================

The same start, the same population, four methods: gradient descent bends towards the minimum, while GDNP goes
to the line of S⁻¹u and then looks only for a length.
"""

import matplotlib.pyplot as plt
import numpy as np

import gdnp
from gdnp.population import Halfspace

# %%
# A Gaussian population in the plane: S has condition 20, and u lies across its axes.
S = np.diag([1.0, 0.05])
u = np.array([0.45, 0.08])
f = Halfspace(u, S, "log_loss")
start = np.array([1.5, 4.0])

# %%
# Each method leaves its path in a callback.
paths = {}
for name in ("gd", "batch_norm_gd", "gdnp", "gdnp_metric"):
    paths[name] = [start]
    gdnp.minimize(f, name, start, max_iter=40, callback=lambda row, to=name: paths[to].append(row.point.coef))

# %%
# Level sets, the line of S⁻¹u, and the paths.
a, b = np.linspace(-4, 2, 61), np.linspace(-12, 5, 61)
values = np.array([[f.at(np.array([x, y])).value for x in a] for y in b])
figure, axis = plt.subplots(figsize=(7, 5), layout="constrained")
axis.contour(a, b, values, levels=15, colors="0.8", linewidths=0.8)
far = 20.0 * f.optimal_direction
axis.plot([-far[0], far[0]], [-far[1], far[1]], "k--", linewidth=1.0, label="S⁻¹u")
for name, path in paths.items():
    axis.plot(*np.transpose(path), marker=".", label=name)
axis.set(xlim=(-4, 2), ylim=(-12, 5), xlabel="w₁", ylabel="w₂")
axis.legend()
