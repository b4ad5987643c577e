"""
Rows that lie
=============

One label in ten is flipped, on rows that are moved far out. The log loss follows them; the sigmoid, a bounded
loss, gives each at most one error's worth of attention.
"""

import matplotlib.pyplot as plt
import numpy as np

from gdnp import GDNPClassifier

rng = np.random.default_rng(0)
X = rng.standard_normal((600, 2))
y = np.where(X @ [2.0, 1.0] + 0.3 * rng.standard_normal(600) > 0.0, 1, 0)
wrong = rng.choice(600, 60, replace=False)
spoilt, labels = X.copy(), y.copy()
spoilt[wrong] *= 5.0
labels[wrong] = 1 - labels[wrong]

# %%
models = {loss: GDNPClassifier(loss, alpha=1e-4).fit(spoilt, labels) for loss in ("log_loss", "sigmoid")}
for loss, model in models.items():
    print(f"{loss}: accuracy on the clean rows {model.score(X, y):.3f}")

# %%
figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
axis.scatter(*X.T, c=y, s=8, cmap="coolwarm", alpha=0.5)
line = np.array([-3.0, 3.0])
for (loss, model), style in zip(models.items(), ("k:", "k-"), strict=True):
    w = model.coef_[0]
    axis.plot(line, -(w[0] * line + model.intercept_[0]) / w[1], style, label=loss)
axis.set(xlim=(-3, 3), ylim=(-3, 3))
axis.legend()
