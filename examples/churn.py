"""A table of customers as such tables come, and where linear models end on it: AUC, seconds, warnings.

    python examples/churn.py                 five-fold AUC of each model, seconds of processor time, warnings
    python examples/churn.py churn.png       the same as a picture, and churn-dark.png for dark pages
    python examples/churn.py churn.csv       write the table, for gdnp fit churn.csv --target churned

Ids, dates, categories, gaps, and columns from 1 to 100 000 in their own units. Peers are as one types them
first, and at their best, which is on scaled columns.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdnp import GDNPClassifier, GDNPClassifierCV
from gdnp.plotting import new_figure
from gdnp.tables import TableColumns

ROWS = 30_000
FOLDS = 5
COUNTRIES = {"DE": 0.2, "FR": 0.15, "NA": 0.05, "UK": 0.1, "US": 0.2, "PL": 0.1, "IT": 0.08, "ES": 0.06}
COUNTRIES |= {"NL": 0.03, "SE": 0.02, "LI": 0.005, "MT": 0.005}
GAPS = {"income": 0.12, "age": 0.03, "country": 0.02, "last_login": 0.05}


def table(n: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """n customers; about a third have gone."""
    rng = np.random.default_rng(seed)
    end = pd.Timestamp("2024-12-31")
    tenure = rng.gamma(2.0, 400.0, n).round()
    frame = pd.DataFrame(
        {
            "customer_id": rng.permutation(10**7)[:n],
            "email": [f"user{k}@example.org" for k in range(n)],
            "signup": (end - pd.to_timedelta(tenure, unit="D")).strftime("%Y-%m-%d"),
            "country": rng.choice(list(COUNTRIES), n, p=list(COUNTRIES.values())),
            "plan": rng.choice(["basic", "plus", "pro"], n, p=[0.5, 0.35, 0.15]),
            "payment": rng.choice(["card", "invoice", "debit"], n),
            "age": rng.normal(45.0, 14.0, n).round().clip(18.0, 95.0),
            "income": np.exp(rng.normal(10.6, 0.5, n)).round(-2),
            "spend": np.exp(rng.normal(9.0, 1.2, n)).round(2),
            "calls": rng.poisson(1.5, n),
            "visits": rng.poisson(20.0, n),
            "tenure_days": tenure,
            "last_login": (end - pd.to_timedelta(rng.integers(0, 90, n), unit="D")).strftime("%d.%m.%Y"),
            "currency": "EUR",
        }
    )
    odds = 2.0 - 0.0012 * tenure + 0.45 * frame["calls"] - 0.3 * np.log(frame["spend"])
    odds += 0.7 * (frame["plan"] == "basic") - 0.5 * (frame["payment"] == "debit")
    odds += 0.02 * (45.0 - frame["age"]) + 0.4 * (frame["country"] == "US")
    gone = rng.random(n) < 1.0 / (1.0 + np.exp(-odds))
    for column, share in GAPS.items():
        frame[column] = frame[column].mask(rng.random(n) < share)
    return frame.assign(churned=np.where(gone, "yes", "no"))


def scaled(model: BaseEstimator) -> BaseEstimator:
    """A peer at its best: on columns of unit variance."""
    return make_pipeline(StandardScaler(), model)


MODELS: dict[str, Callable[[], Any]] = {
    "GDNPClassifier()": GDNPClassifier,
    "GDNPClassifierCV()": GDNPClassifierCV,
    "LogisticRegression()": LogisticRegression,
    "LogisticRegression(max_iter=1000)": lambda: LogisticRegression(max_iter=1000),
    'LogisticRegression(solver="newton-cholesky")': lambda: LogisticRegression(solver="newton-cholesky"),
    'LogisticRegression(solver="liblinear")': lambda: LogisticRegression(solver="liblinear"),
    'SGDClassifier(loss="log_loss")': lambda: SGDClassifier(loss="log_loss", random_state=0),
    "StandardScaler + LogisticRegression()": lambda: scaled(LogisticRegression()),
    "StandardScaler + LogisticRegressionCV()": lambda: scaled(
        LogisticRegressionCV(scoring="neg_log_loss", use_legacy_attributes=False, l1_ratios=(0.0,))
    ),
    'StandardScaler + SGDClassifier(loss="log_loss")': lambda: scaled(
        SGDClassifier(loss="log_loss", random_state=0)
    ),
}
"""Each on the same columns of numbers."""


class Race(NamedTuple):
    """Mean AUC of the folds, seconds of processor time of all fits, and fits that warned."""

    auc: float
    seconds: float
    warned: int


def race(make: Callable[[], Any], X: Any, y: Any) -> Race:
    """Five folds, all with the same columns of numbers."""
    auc, seconds, warned = [], 0.0, 0
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(X, y):
        model = make()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            begin = time.process_time()
            model.fit(X[train], y[train])
            seconds += time.process_time() - begin
            scores = model.decision_function(X[test])
        warned += bool(caught)
        auc.append(roc_auc_score(y[test], scores) if np.isfinite(scores).all() else np.nan)
    return Race(float(np.mean(auc)), seconds, warned)


INK = {"": ("white", "#1f2328", "#d0d7de"), "-dark": ("#0d1117", "#e6edf3", "#30363d")}
"""Of each picture the paper, the ink and the lines."""
OURS, THEIRS = "#d55e00", "#3a8fc4"


def draw(found: dict[str, Race], path: Path, n: int) -> list[Path]:
    """AUC, seconds and warnings side by side, a row for each model; once on white, once on black."""
    rows = list(reversed(found))
    panels = {
        "AUC": ([found[name].auc for name in rows], "{:.3f}"),
        "seconds (log scale)": ([found[name].seconds for name in rows], "{:.2f}"),
        f"fits that warned, of {FOLDS}": ([found[name].warned for name in rows], "{:d}"),
    }
    written = []
    for suffix, (paper, ink, lines) in INK.items():
        with new_figure(1, len(panels), width=9.2, height=0.6 + 0.24 * len(rows)) as (figure, axes):
            figure.set_facecolor(paper)
            for ax, (title, (values, shown)) in zip(axes[0], panels.items(), strict=True):
                colours = [OURS if name.startswith("GDNP") else THEIRS for name in rows]
                low, high = min(values), max(values)
                ax.scatter(values, range(len(rows)), s=36, c=colours, clip_on=False, zorder=3)
                for row, value in enumerate(values):
                    at = {"xy": (value, row), "xytext": (7, -1), "textcoords": "offset points"}
                    box = {"facecolor": paper, "edgecolor": "none", "pad": 1.0}
                    ax.annotate(shown.format(value), **at, va="center", bbox=box)
                if title.startswith("seconds"):
                    ax.set_xscale("log")
                    ax.set_xlim(0.7 * low, 4.0 * high)
                else:
                    ax.set_xlim(low - 0.05 * (high - low), high + 0.35 * (high - low) + 1e-9)
                ax.set_title(title, pad=6.0)
                ax.set_xticks([])
                ax.minorticks_off()
                ax.set_yticks(range(len(rows)), rows if ax is axes[0, 0] else [""] * len(rows))
                ax.set_facecolor(paper)
                ax.grid(axis="y", color=lines)
                ax.tick_params(length=0)
                ax.spines[:].set_visible(False)
            for text in figure.findobj(lambda drawn: hasattr(drawn, "get_fontsize")):
                text.set_color(ink)
            figure.supxlabel(
                f"{n:,} customers as they come, columns unscaled unless it says so; "
                f"{FOLDS} folds, processor time",
                color=ink,
                fontsize=8.5,
            )
            written.append(path.with_name(f"{path.stem}{suffix}.png"))
            figure.savefig(written[-1], metadata={"Software": None})
    return written


def main(arguments: list[str], n: int = ROWS) -> dict[str, Race]:
    """Write the table where its name is given; else fit, compare, print, and draw where that is asked for."""
    frame = table(n)
    to = Path(arguments[0]) if arguments else None
    if to is not None and to.suffix != ".png":
        frame.to_csv(to, index=False)
        return {}
    y = frame["churned"].eq("yes").to_numpy()
    X = TableColumns().fit_transform(frame.drop(columns="churned"))
    print(f"| {n:,} rows, {X.shape[1]} columns of numbers | AUC | seconds | fits that warned |")
    print("|---|---|---|---|")
    found = {}
    for name, make in MODELS.items():
        found[name] = one = race(make, X, y)
        print(f"| `{name}` | {one.auc:.4f} | {one.seconds:.2f} | {one.warned} of {FOLDS} |", flush=True)
    if to is not None:
        print(*draw(found, to, n))
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
