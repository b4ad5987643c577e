"""Fits for ``peers.py --against``: jobs as lines of JSON on stdin, answers as lines of JSON on stdout.

One of these runs for each checkout, with that checkout's ``src`` on PYTHONPATH. It uses nothing of gdnp but
its two estimators, their certificate and history, so that checkouts far apart can be compared.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings

import joblib
import numpy as np

import gdnp


def passes(fitted) -> float:
    """Passes over the data of all classes: each class has a history of its own, which begins at 0."""
    history = fitted.history_
    owners = history.get("class", np.zeros(len(history["passes"])))
    return float(sum(history["passes"][owners == owner][-1] for owner in np.unique(owners)))


def fit(X, y, loss: str, ridge: float, tol: float) -> dict[str, float]:
    """One fit of a loss with a ridge, in the units of a sum over rows: that of C = 1/ridge."""
    estimator = gdnp.GDNPRegressor if loss == "squared_error" else gdnp.GDNPClassifier
    model = estimator(loss, alpha=ridge / len(y), tol=tol)
    begin = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - begin
    certificates = model.certificate_ if isinstance(model.certificate_, tuple) else (model.certificate_,)
    return {
        "seconds": seconds,
        "passes": passes(model),
        "gap": max(certificate.gap for certificate in certificates),
        "objective": sum(certificate.objective for certificate in certificates),
    }


def main() -> None:
    """Answer until stdin ends; the data of the last job are kept."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a checkout prints is no answer
    warnings.simplefilter("ignore")
    name, data = None, None
    print(json.dumps({"gdnp": gdnp.__file__}), file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        if job["data"] != name:
            data = None  # before the next are read: two large sets may not fit
            name, data = job["data"], joblib.load(job["data"])
        print(json.dumps(fit(*data, job["loss"], job["ridge"], job["tol"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
