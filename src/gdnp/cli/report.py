"""What ``gdnp fit`` and ``gdnp show`` say of a model: a document for programs, tables for people."""

import json
import math
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from scipy.sparse import issparse

from gdnp.cli.errors import NotConverged
from gdnp.cli.scores import NAMES
from gdnp.cli.terminal import console_of, print_json, print_table
from gdnp.cli.values import plain, text
from gdnp.models import Model, estimator_of, save_model
from gdnp.solvers import Certificate
from gdnp.solvers.state import Status
from gdnp.store import plain as finite

STRONGEST = 12
MOST_COLUMNS = 40
HEADS = {"column": "column", "class": "class", "coefficient": "per unit", "per_sd": "per sd", "sd": "sd"}
KINDS = {
    "duality_gap": "a duality gap proves it",
    "newton_decrement": "by the Newton decrement, an estimate",
    "gradient_norm": "by the gradient, an estimate",
}


def certificates_of(model: Model) -> tuple[Certificate, ...]:
    """One for each problem that was solved."""
    found = estimator_of(model).certificate_
    return found if isinstance(found, tuple) else (found,)


def worst_certificate(model: Model) -> Certificate:
    """Of those that did not converge, if there are any, the one with the largest gap."""
    certificates = certificates_of(model)
    failed = [one for one in certificates if one.status is not Status.CONVERGED]
    return max(failed or certificates, key=lambda one: math.inf if math.isnan(one.gap) else one.gap)


def certificate_in_words(certificate: Certificate) -> str:
    """What is known of how good a fit is."""
    gap = "an unknown part" if not math.isfinite(certificate.gap) else f"{certificate.gap:.1g}"
    known = KINDS[certificate.kind]
    if certificate.status is Status.CONVERGED:
        return f"found: no coefficients bring the objective lower by more than {gap} of itself ({known})"
    return f"not found: {certificate.status.message}; the objective may be {gap} of itself too high ({known})"


def document_of(model: Model, about: dict[str, Any]) -> dict[str, Any]:
    """All there is to say: `about` is of the data and the fit, the rest is read off the model."""
    estimator, every, worst = estimator_of(model), certificates_of(model), worst_certificate(model)
    names = ("alpha", "fit_intercept", "solver", "tol", "max_iter")
    parameters = {name: getattr(estimator, name) for name in names}
    parameters["loss"] = estimator.loss if isinstance(estimator.loss, str) else estimator.loss.name
    classes = getattr(estimator, "classes_", None)
    found = {
        "in_words": certificate_in_words(worst),
        "classes": None if classes is None else [plain(label) for label in classes],
        "parameters": parameters | {"delta": getattr(estimator, "delta_", None)},
        "status": worst.status.name,
        "message": worst.status.message,
        "converged": worst.status is Status.CONVERGED,
        "objective": sum(one.objective for one in every),
        "certificate": {"kind": worst.kind, "proved": worst.proved, "gap": worst.gap},
        "certificates": [asdict(one) | {"status": one.status.name} for one in every],
        "iterations": int(estimator.n_iter_),
        "intercept": np.ravel(estimator.intercept_),
        "coefficients": coefficients(model),
    }
    return about | {name: finite(value) for name, value in found.items()}


def concluded(model: Model, about: dict[str, Any], options: Any) -> None:
    """Save a model where that was asked for, and say all there is to say; --strict fails without tol."""
    converged = worst_certificate(model).status is Status.CONVERGED
    if options.out is not None and (converged or not options.strict):
        about["model"] = str(options.out)
        model.report_ = json.dumps(about)
        save_model(model, options.out, overwrite=options.force)
    found = document_of(model, about)
    if options.as_json:
        print_json(found)
    else:
        print_report(console_of(), found)
    if options.strict and not converged:
        sys.stdout.flush()
        unsaved = "" if options.out is None else f"; {options.out} is not written"
        raise NotConverged(f"--strict: {found['message']}{unsaved}.")


def coefficients(model: Model) -> list[dict[str, Any]]:
    """Of each column and, beyond two, class: per unit of the column and per standard deviation of it."""
    estimator = estimator_of(model)
    d = estimator.n_features_in_
    counted = [f"column {j + 1}" for j in range(d)]
    raw = estimator is not model
    names = model[0].get_feature_names_out() if raw else getattr(estimator, "feature_names_in_", counted)
    sd = getattr(model, "sd_", None)
    coef = estimator.coef_.toarray() if issparse(estimator.coef_) else estimator.coef_
    rows = np.asarray(coef, dtype=np.float64).reshape(-1, d)
    classes = getattr(estimator, "classes_", [])
    return [
        {"column": str(names[j])}
        | ({"class": plain(classes[k])} if len(rows) > 1 and len(classes) else {})
        | {"coefficient": float(row[j])}
        | ({} if sd is None else {"per_sd": float(row[j] * sd[j]), "sd": float(sd[j])})
        for k, row in enumerate(rows)
        for j in range(d)
    ]


# --- for people


def print_report(console: Console, found: dict[str, Any]) -> None:
    """The data, the columns, the score, the optimum and the strongest coefficients."""
    what = "GDNPClassifier" if found["classes"] else "GDNPRegressor"
    of = f" of {found['target']!r}" if found.get("target") else ""
    made = f" as {found['made']:,} numbers" if found.get("table") else ""
    size = f": {found['rows']:,} rows, {found['columns']:,} columns{made}" if "rows" in found else ""
    data = {"-": "standard input", None: "unknown data"}.get(found.get("data"), found.get("data"))
    console.print(f"{what}{of} on {data}{size}", markup=False, style="bold", soft_wrap=True)
    for name, value in _lines(found).items():
        console.print(f"  {name:<11} {value}", markup=False, soft_wrap=True)
    console.print()
    if found.get("table"):
        print_columns(console, found["table"])
    if "readings" not in found:  # rows of files are never held out
        _print_score(console, found.get("score"))
    _print_coefficients(console, found)
    saved = (
        f"Model: {found['model']}"
        if found.get("model")
        else "The model is not saved: --out MODEL.skops saves it."
    )
    console.print(f"\n{saved}", markup=False)


def _lines(found: dict[str, Any]) -> dict[str, str]:
    """What is said in a line, by its name; a report of files has no table, an older model no seconds."""
    classes, used, many = found["classes"], found["parameters"], len(found["certificates"]) > 1
    task = found.get("task") or ("classification" if classes else "regression")
    lines = {
        "task": task + (f", since {found['why']} (guessed; --task says another)" if found.get("why") else "")
    }
    if classes:
        speaks = f"; coefficients above 0 speak for {text(classes[1])}" if len(classes) == 2 else ""
        lines["classes"] = ", ".join(map(text, classes[:8])) + (", ..." if len(classes) > 8 else "") + speaks
    delta = "" if used["delta"] is None else f" with delta {used['delta']:.4g}"
    chosen = ", chosen by cross-validation" if found.get("auto") else ""
    lines["loss"] = f"{used['loss']}{delta}, alpha {used['alpha']:.4g}{chosen}"
    lines["optimum"] = found["in_words"] + ", of the worst class" * many
    objective = "unknown" if found["objective"] is None else f"{found['objective']:.10g}"
    lines["objective"] = objective + f", the sum over {len(found['certificates'])} classes" * many
    lines["iterations"] = str(found["iterations"]) + ", of the slowest class" * many
    if "seconds" in found:
        lines["seconds"] = f"{found['seconds']:.3g}"
    if "rounds" in found:
        lines["readings"] = "{readings:g} of all rows in {rounds} rounds, {megabytes_sent:.3g} MB".format(
            **found
        )
    elif "readings" in found:
        lines["readings"] = "{readings:g} of all rows, {gigabytes_read:.3g} GB".format(**found)
    return lines


def print_columns(console: Console, columns: list[dict[str, Any]]) -> None:
    """What was done with each column of a table."""
    rows = []
    for one in columns[:MOST_COLUMNS]:
        kind = one["kind"] if one["makes"] else f"left out: {one['kind']}"
        rows.append(
            (
                one["name"],
                kind,
                f"{one['gaps']:,}" if one["gaps"] else "",
                str(one["makes"] or ""),
                one["note"],
            )
        )
    more = len(columns) - MOST_COLUMNS
    note = f"{more:,} more columns: --json has all." if more > 0 else ""
    heads = "column", "as", "gaps", "numbers", "note"
    print_table(console, "What was done with each column", heads, rows, note)


def _print_score(console: Console, score: dict[str, Any] | None) -> None:
    if score is None:
        console.print("No score: no rows were held out (--test .2 or --cv 5 does it).\n", markup=False)
        return
    spread = {name: f" ± {value:.2g}" for name, value in (score["spread"] or {}).items()}
    rows = [
        (NAMES[name], f"{value:.4g}{spread.get(name, '')}", f"{score['baseline'][name]:.4g}")
        for name, value in score["values"].items()
    ]
    print_table(console, f"Score: {score['method']}", ("", "this model", "baseline"), rows, score["note"])
    console.print()


def _print_coefficients(console: Console, found: dict[str, Any]) -> None:
    every = found["coefficients"]
    heads = {name: head for name, head in HEADS.items() if every and name in every[0]}
    key = "per_sd" if "per_sd" in heads else "coefficient"
    rows = [
        tuple(f"{one[name]:.4g}" if isinstance(one[name], float) else text(one[name]) for name in heads)
        for one in sorted(every, key=lambda one: -abs(one[key]))[:STRONGEST]
    ]
    unit = ", in log odds" if found["parameters"]["loss"] == "log_loss" and found["classes"] else ""
    title = f"Strongest of {len(every):,} coefficients{unit}"
    print_table(console, title, tuple(heads.values()), rows)
