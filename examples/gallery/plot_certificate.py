"""
What a certificate adds
=======================

Two solvers on raw columns. Both know when they are done; the curve is the true distance from the optimum, the
line what the certificate proves.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer

from gdnp import ConvergenceDisplay, GDNPClassifier

X, y = load_breast_cancer(return_X_y=True)
models = {
    solver: GDNPClassifier(alpha=1 / len(y), solver=solver).fit(X, y) for solver in ("newton", "gdnp_metric")
}

# %%
for name, model in models.items():
    found = model.certificate_
    print(f"{name}: {found.status.name} after {model.n_iter_} steps, gap {found.gap:.1e} ({found.kind})")

# %%
ConvergenceDisplay.from_estimators(models, x="passes")
plt.show()
