"""Whether what a fit claims is true: thousands of generated problems against a reference in many digits.

    python benchmarks/truth.py [--count 20000] [--seed 0] [--jobs 2] [--out results/truth.jsonl]
    python benchmarks/truth.py --show NUMBER       one problem, its claim and the truth
    python benchmarks/truth.py --page docs/certificates.md      write the table of a finished run into a page

A run goes on where its file ends. The problems are those of ``nasty.py``, the reference is ``exact.py``. A
claim is false where (f - best)/max(best, rounding of the targets) is above it by more than the reference's
own rounding. `best` is the least value that the reference finds, so the truth may be worse, but never better.
Estimates without a ridge are counted apart where columns depend on each other but for rounding, and the best
coefficients are so large that double precision does not hold them.
For a bounded loss the claim speaks of coefficients near by: no margin is farther off than 1. Where Newton's
method with many digits leaves these and ends below the claim, that is counted apart.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from exact import Exact, attainable, least_value, separated
from nasty import SMALL, problem

EPS = float(np.finfo(np.float64).eps)
MARK, END = "<!-- truth -->", "<!-- end of truth -->"


def judged(number: int, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """What a fit of that problem claims, and what is true."""
    p = problem(number, seed)
    for name, value in changes.items():
        setattr(p, name, value)
    record = {
        "number": number,
        "kinds": p.kinds,
        "n": p.dense.shape[0],
        "d": p.dense.shape[1],
        **{name: getattr(p, name) for name in ("loss", "alpha", "tol", "solver", "fit_intercept")},
    }
    from gdnp import GDNPClassifier, GDNPRegressor

    estimator = GDNPClassifier if p.classifies else GDNPRegressor
    model = estimator(
        p.loss,
        alpha=p.alpha,
        tol=p.tol,
        solver=p.solver,
        fit_intercept=p.fit_intercept,
        max_iter=1000 if p.solver == "auto" else 100,
        n_jobs=1,
    )
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(p.X, p.y, p.weight)
    except Exception as error:  # whatever it is, it is counted
        return {**record, "error": f"{type(error).__name__}: {error}"[:200]}
    known, fitted = model.certificate_, time.perf_counter()
    record |= {
        "status": known.status.name,
        "kind": known.kind,
        "claim": known.gap,
        "iterations": model.n_iter_,
        "seconds": round(fitted - begin, 4),
    }
    coef, intercept = np.ravel(model.coef_), float(np.ravel(model.intercept_)[0])
    if not (np.isfinite(coef).all() and math.isfinite(intercept)):
        return {
            **record,
            **dict.fromkeys(("truth", "far", "attainable", "returned", "condition"), math.inf),
            "error_of_truth": 0.0,
        }
    many, counts = p.dense.size <= SMALL or p.loss == "probit", p.loss == "log_loss" and p.alpha == 0.0
    exact = Exact(p.dense, p.y, p.weight, p.loss, p.alpha, p.fit_intercept, many)
    with np.errstate(all="ignore"):
        value, best, x, error, far = least_value(exact, coef, intercept, rounding_of(p.X))
        unit, kind = max(float(best), exact.rounding_of_targets()), model.coef_.dtype.type
        record |= {
            "truth": float(value - best) / unit if unit > 0.0 else 0.0,
            "error_of_truth": error / unit if unit > 0.0 else 0.0,
            "far": float(value - far) / unit if unit > 0.0 else 0.0,
            "attainable": float(attainable(exact, x) - best) / unit if unit > 0.0 else 0.0,
            "returned": float(attainable(exact, x, kind) - best) / unit if unit > 0.0 else 0.0,
            "condition": exact.condition(x),
            "separated": separated(exact, coef, intercept, rounding_of(p.X)) if counts else False,
            "judged": round(time.perf_counter() - fitted, 4),
        }
    return record


def rounding_of(X: Any) -> float:
    """That of the stored entries."""
    return float(np.finfo(X.dtype).eps) if X.dtype.kind == "f" else EPS


def is_below(r: dict[str, Any]) -> bool:
    """Whether a claim is below the truth."""
    return "truth" in r and not r["claim"] >= r["truth"] * (1.0 - 1e-6) - r["error_of_truth"]


def is_out_of_reach(r: dict[str, Any]) -> bool:
    """Whether columns depend on each other but for rounding, and the best coefficients need more digits.

    They are so large that rounding them to double precision costs as much as what is missing.
    """
    return r["alpha"] == 0.0 and EPS * r["condition"] > 0.01 and r["attainable"] > 0.1 * r["truth"]


def is_false(r: dict[str, Any]) -> bool:
    """Whether a claim is below the truth, and one in double precision could be true."""
    return is_below(r) and (r["kind"] == "duality_gap" or not is_out_of_reach(r))


def is_diverging(r: dict[str, Any]) -> bool:
    """Whether a fit says that there is no minimiser."""
    return r.get("status") == "LENGTH_DIVERGES"


def _count(what: list[Any], of: int) -> str:
    return f"{len(what)} of {of}"


def table(records: list[dict[str, Any]]) -> list[str]:
    """Rows of a markdown table: what was asked, and the answer."""
    done = [r for r in records if "truth" in r]
    own = [r for r in done if r["solver"] == "auto"]
    false = [r for r in done if is_false(r)]
    worst = {
        kind: max(
            (r["truth"] / max(r["claim"], EPS) for r in done if r["kind"] == kind and is_false(r)),
            default=0.0,
        )
        for kind in sorted({r["kind"] for r in done})
    }
    stalled = [r for r in own if r["status"] == "STALLED"]
    asked = [
        r for r in own if r["truth"] - r["error_of_truth"] > 100.0 * max(EPS * r["condition"], r["returned"])
    ]
    separable = [
        r for r in own if r["loss"] == "log_loss" and r["alpha"] == 0.0 and r["separated"] is not None
    ]
    lines = [
        "| what | found |",
        "|---|---|",
        f"| problems | {len(records)} |",
        f"| errors instead of a fit | {len([r for r in records if 'error' in r])} |",
    ]
    apart = [r for r in done if is_below(r) and not is_false(r)]
    lines.append(f"| below the truth, best coefficients out of reach | {_count(apart, len(done))} |")
    bounded = [r for r in done if r["loss"] in ("sigmoid", "probit")]
    lower = [r for r in bounded if r["far"] > max(r["claim"], r["truth"])]
    lines.append(f"| bounded losses, f below the claim farther off | {_count(lower, len(bounded))} |")
    for kind in worst:
        some = [r for r in done if r["kind"] == kind]
        wrong = [r for r in some if is_false(r)]
        more = f", truth up to {worst[kind]:.1e} times the claim" if wrong else ""
        lines.append(f"| false claims, {kind} | {_count(wrong, len(some))}{more} |")
        sure = [r for r in some if r["status"] == "CONVERGED" and math.isfinite(r["claim"])]
        if sure:
            loose = np.quantile([r["claim"] / max(r["truth"], EPS) for r in sure], [0.1, 0.5, 0.9])
            lines.append(
                f"| claim/max(truth, eps), {kind}: 10, 50, 90 % | {'  '.join(f'{v:.2g}' for v in loose)} |"
            )
    lines += [
        f"| MAX_ITER | {_count([r for r in own if r['status'] == 'MAX_ITER'], len(own))} |",
        f"| STALLED, tol >= 1e-8 | {_count([r for r in stalled if r['tol'] >= 1e-8], len(own))} |",
        "| STALLED where the true gap is above 100 times what rounding explains | "
        f"{_count([r for r in asked if r['status'] == 'STALLED'], len(own))} |",
        f"| separable without LENGTH_DIVERGES | "
        f"{_count([r for r in separable if r['separated'] and not is_diverging(r)], len(separable))} |",
        f"| LENGTH_DIVERGES without separability | "
        f"{_count([r for r in separable if not r['separated'] and is_diverging(r)], len(separable))} |",
    ]
    kinds = Counter(kind for r in false for kind in (r["kinds"] or ["plain"]))
    total = Counter(kind for r in done for kind in (r["kinds"] or ["plain"]))
    if kinds:
        named = ", ".join(f"{kind} {count} of {total[kind]}" for kind, count in kinds.most_common())
        lines.append(f"| false claims by kind of problem | {named} |")
    return lines


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a run so far; a line that was cut off is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def _one(job: tuple[int, int]) -> dict[str, Any]:
    return judged(*job)


def run(path: Path, count: int, seed: int, jobs: int) -> list[dict[str, Any]]:
    """Judge the problems that the file does not have yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [r for r in read(path) if r["number"] < count]
    if path.exists() and not path.read_bytes().endswith(b"\n"):  # the last line was cut off
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    known = {r["number"] for r in records}
    todo = [(number, seed) for number in range(count) if number not in known]
    with path.open("a", encoding="utf-8") as file, multiprocessing.Pool(jobs) as pool:
        for record in pool.imap_unordered(_one, todo, chunksize=8):
            file.write(json.dumps(record) + "\n")
            file.flush()
            records.append(record)
    return sorted(records, key=lambda r: r["number"])


def written(page: Path, lines: list[str]) -> None:
    """Put the table between its marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(MARK)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{MARK}\n\n" + "\n".join(lines) + f"\n\n{END}{after}", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/truth.jsonl"))
    parser.add_argument("--show", type=int, help="judge this problem alone")
    parser.add_argument("--page", type=Path, help="write the table of --out into this page, and run nothing")
    parser.add_argument("--false", action="store_true", help="list the false claims")
    options = parser.parse_args(arguments)
    if options.show is not None:
        print(json.dumps(judged(options.show, options.seed), indent=1))
        return
    if options.page is not None:
        records = read(options.out)
    else:
        records = run(options.out, options.count, options.seed, options.jobs)
    lines = table(records)
    print("\n".join(lines))
    if options.page is not None:
        written(options.page, lines)
    if options.false:
        for r in filter(is_false, records):
            keys = ("number", "loss", "alpha", "tol", "solver", "status", "kind", "claim", "truth", "kinds")
            print(*(r[key] for key in keys))


if __name__ == "__main__":
    main()
