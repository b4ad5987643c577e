"""scikit-learn's checks of an estimator on a hundred settings of gdnp's.

    python benchmarks/estimator_checks.py [--only WORDS]

The production solver has every loss, ridge, intercept and start; the others have a loss of each task and
three ridges. A failure is fine where scikit-learn's LogisticRegression (in regression Ridge) fails the same
check, or where ``EXPLAINED`` says why. The status is 1 for any other, and for an explanation of what does not
happen.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from sklearn.base import is_classifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import check_estimator

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.losses import LOSSES

ALPHAS = (0.0, 1e-4, 1.0)
OTHERS = ("gdnp", "gdnp_metric", "batch_norm_gd", "weight_norm_gd", "gd", "agd")
"""Solvers beside the production solver."""
FEW = 20
"""Iterations of the other solvers, which may need thousands: no check asks for the optimum."""


@dataclass(frozen=True)
class Explanation:
    """Why a check fails for some settings.

    Attributes
    ----------
    check : str
    settings : tuple of str
        Words that all are in the name of the setting.
    why : str
    """

    check: str
    settings: tuple[str, ...]
    why: str

    def covers(self, setting: str, check: str) -> bool:
        """Whether this is about a check of a setting."""
        return check == self.check and all(word in setting.split() for word in self.settings)


EXPLAINED = (
    Explanation(
        "check_supervised_y_2d",
        (f"max_iter={FEW}", "warm"),
        "It fits twice: with a warm start the second fit goes on from where the first was stopped.",
    ),
    *(
        Explanation(
            f"check_sample_weight_equivalence_on_{kind}_data",
            (f"max_iter={FEW}", "gdnp_metric", "alpha=0.0001", "no-intercept"),
            "Stopped before the optimum, where steps that are searched magnify rounding.",
        )
        for kind in ("dense", "sparse")
    ),
    *(
        Explanation(
            f"check_sample_weight_equivalence_on_{kind}_data",
            ("auto", "log_loss", "alpha=0"),
            "Planes separate the three classes: there is no minimiser, and how far a run goes is open.",
        )
        for kind in ("dense", "sparse")
    ),
    *(
        Explanation(
            f"check_sample_weight_equivalence_on_{kind}_data",
            ("auto", loss, "alpha=1", "intercept"),
            "A constant is best, and its intercept runs to the 0-1 limit: rounding says where it ends.",
        )
        for kind, loss in product(("dense", "sparse"), ("sigmoid", "probit"))
    ),
    *(
        Explanation(
            "check_classifiers_train",
            ("auto", loss, "alpha=1", "intercept"),
            "Under such a ridge a bounded loss is least, 1/3 for three classes, at a constant.",
        )
        for loss in ("sigmoid", "probit")
    ),
    *(
        Explanation(
            "check_classifiers_train",
            ("auto", loss, "alpha=0"),
            "Log probabilities are exact, -3000 say, where the probability itself is below all numbers.",
        )
        for loss in ("sigmoid", "probit")
    ),
    Explanation(
        "check_supervised_y_2d",
        ("sigmoid", "alpha=0", "warm"),
        "It fits twice, and a bounded loss without a ridge has no minimiser: the second fit goes on.",
    ),
)


def settings() -> dict[str, Any]:
    """More than a hundred estimators by what is set."""
    found = {}
    for loss, alpha, intercept, warm in product(LOSSES, ALPHAS, (True, False), (False, True)):
        found |= setting("auto", loss, alpha, intercept, warm)
    # Without a ridge some take half a second an iteration to profile the intercept of separable rows.
    for k, (solver, loss, alpha) in enumerate(product(OTHERS, ("log_loss", "squared_error"), ALPHAS)):
        intercept = loss == "squared_error" or (alpha > 0.0 and k % 2 == 0)
        found |= setting(solver, loss, alpha, intercept, k % 4 < 2, max_iter=FEW)
    for solver, loss in product(("gd", "agd"), ("sigmoid", "pseudo_huber")):
        found |= setting(solver, loss, 1e-4, True, False, max_iter=FEW)
    return found


def setting(
    solver: str, loss: str, alpha: float, intercept: bool, warm: bool, **options: Any
) -> dict[str, Any]:
    """One estimator, by its name."""
    cls = GDNPClassifier if LOSSES[loss].task == "classification" else GDNPRegressor
    made = cls(loss, solver=solver, alpha=alpha, fit_intercept=intercept, warm_start=warm, **options)
    words = "intercept" if intercept else "no-intercept", "warm" if warm else "cold"
    words += tuple(f"{name}={value}" for name, value in options.items())
    return {" ".join((solver, loss, f"alpha={alpha:g}", *words)): made}


def failures(estimator: Any) -> dict[str, str]:
    """Words of the exception of each check that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    return {
        result["check_name"]: f"{type(result['exception']).__name__}: {result['exception']}"
        for result in results
        if result["status"] == "failed"
    }


@cache
def shared(classifier: bool, intercept: bool) -> frozenset[str]:
    """Checks that scikit-learn's own model of the task fails, with or without an intercept."""
    return frozenset(failures((LogisticRegression if classifier else Ridge)(fit_intercept=intercept)))


def unexplained(name: str, estimator: Any, found: dict[str, str]) -> list[str]:
    """Failures of a setting that nothing excuses."""
    return [
        f"{name}: {check}: {' '.join(words.split())[:200]}"
        for check, words in found.items()
        if check not in shared(is_classifier(estimator), estimator.fit_intercept)
        and not any(explanation.covers(name, check) for explanation in EXPLAINED)
    ]


def stale(found: dict[str, dict[str, str]]) -> list[str]:
    """Explanations of what none of these settings fails, though they are about some."""
    wrong = []
    for explanation in EXPLAINED:
        about = [failed for name, failed in found.items() if explanation.covers(name, explanation.check)]
        if about and not any(explanation.check in failed for failed in about):
            of = " ".join(explanation.settings)
            wrong.append(f"{explanation.check} is explained for {of}, and passes: drop it.")
    return wrong


def run(chosen: dict[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    """Name, failures and seconds of each setting."""
    for name, estimator in chosen.items():
        begin = time.perf_counter()
        yield name, failures(estimator), time.perf_counter() - begin


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and say whether all is as explained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], metavar="WORDS", help="settings with all of these")
    options = parser.parse_args(arguments)
    chosen = {name: made for name, made in settings().items() if set(options.only) <= set(name.split())}
    found: dict[str, dict[str, str]] = {}
    wrong = []
    for name, failed, seconds in run(chosen):
        found[name] = failed
        print(f"{seconds:6.1f} s  {len(failed):3} fail  {name}", flush=True)
        wrong += unexplained(name, chosen[name], failed)
    wrong += stale(found)
    print(f"\n{len(chosen)} settings; {sum(map(len, found.values()))} failures:")
    for explanation in EXPLAINED:
        number = sum(explanation.covers(name, check) for name, failed in found.items() for check in failed)
        print(f"{number:4}  {explanation.check} ({' '.join(explanation.settings)}): {explanation.why}")
    print(*wrong, sep="\n")
    return int(bool(wrong) or not chosen)


if __name__ == "__main__":
    sys.exit(main())
