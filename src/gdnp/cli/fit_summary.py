"""What ``gdnp fit`` says of a fit."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gdnp.cli.values import SCORES, number, plain, score, text
from gdnp.datasets import Dataset
from gdnp.datasets.files import frame_of
from gdnp.models import Model
from gdnp.solvers import Certificate
from gdnp.solvers.state import Status

__all__ = ["in_words", "summary_of", "worst_certificate"]

KINDS = {
    "duality_gap": "proved by a duality gap",
    "newton_decrement": "estimated by the Newton decrement",
    "gradient_norm": "estimated from the gradient",
}


def _certificates(model: Model) -> tuple[Certificate, ...]:
    found = model.certificate_
    return found if isinstance(found, tuple) else (found,)


def worst_certificate(model: Model) -> Certificate:
    """Of those that did not converge, if there are any, the one with the largest gap."""
    certificates = _certificates(model)
    failed = [one for one in certificates if one.status is not Status.CONVERGED]
    return max(failed or certificates, key=lambda one: math.inf if math.isnan(one.gap) else one.gap)


def summary_of(
    source: str, dataset: Dataset, task: str, model: Model, seconds: float, saved: Path | None
) -> dict[str, Any]:
    """What there is to say of a fit, for JSON."""
    certificates, worst = _certificates(model), worst_certificate(model)
    classes = [plain(label) for label in model.classes_] if task == "classification" else None
    rows, columns = dataset.X.shape
    return {
        "data": source,
        "rows": rows,
        "columns": columns,
        "task": task,
        "classes": classes,
        "parameters": {
            name: getattr(model, name)
            for name in ("loss", "alpha", "fit_intercept", "solver", "tol", "max_iter")
        },
        "status": worst.status.name,
        "message": worst.status.message,
        "converged": worst.status is Status.CONVERGED,
        "objective": number(sum(one.objective for one in certificates)),
        "certificate": {"kind": worst.kind, "proved": worst.proved, "gap": number(worst.gap)},
        "certificates": [_certificate(one) for one in certificates],
        "iterations": int(model.n_iter_),
        "score": score(model, model.predict(frame_of(dataset, "Data with names of columns")), dataset.y),
        "seconds": seconds,
        "model": None if saved is None else str(saved),
    }


def _certificate(certificate: Certificate) -> dict[str, Any]:
    fields = asdict(certificate)
    return {name: number(value) if isinstance(value, float) else value for name, value in fields.items()} | {
        "status": certificate.status.name
    }


def in_words(summary: dict[str, Any]) -> str:
    """The same for a terminal."""
    task, classes, certificate = summary["task"], summary["classes"], summary["certificate"]
    many = len(summary["certificates"])
    what = "GDNPClassifier" if task == "classification" else "GDNPRegressor"
    head = f"{what} on {summary['data']}: {summary['rows']} rows, {summary['columns']} columns"
    if classes:
        shown = ", ".join(text(label) for label in classes[:8]) + (", ..." if len(classes) > 8 else "")
        head += f", classes {shown}"
    gap = "unknown" if certificate["gap"] is None else f"{certificate['gap']:.2g} relative"
    objective = "unknown" if summary["objective"] is None else f"{summary['objective']:.10g}"
    scored = summary["score"]
    lines = {
        "loss": f"{summary['parameters']['loss']}, alpha {summary['parameters']['alpha']:g}",
        "status": f"{summary['status']}: {summary['message']}",
        "objective": objective + (f", the sum over {many} classes" if many > 1 else ""),
        "gap": f"{gap}, {KINDS[certificate['kind']]}" + (", of the worst class" if many > 1 else ""),
        "iterations": str(summary["iterations"]) + (", of the slowest class" if many > 1 else ""),
    }
    if scored is not None:
        lines[SCORES[scored["name"]]] = f"{scored['value']:.4f} on the training rows"
    lines["seconds"] = f"{summary['seconds']:.3g}"
    lines["model"] = summary["model"] or "not saved; --out MODEL.skops saves it"
    return "\n".join([head, *(f"  {name:<11} {value}" for name, value in lines.items())])
