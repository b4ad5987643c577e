"""The words of a diagnosis: its numbers as rows, what they mean, and which solver they suggest."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gdnp.diagnose.records import EPSILON, Diagnosis, Gaussianity, Spectrum
from gdnp.diagnose.separability import Separability

WORDS = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
SAYS: dict[str, str] = WORDS["sentences"]
"""Sentences and their parts, by what they are about; numbers fill their braces."""
TABLES: list[tuple[str, list[tuple[str, str]]]] = WORDS["tables"]
"""Titles of tables, and under each what a row has, and its value."""
FAR = 10.0
"""Standard deviations between a column and zero that are worth a sentence."""
UNEQUAL, FEW, RARE = 100.0, 100, 2.0
"""Ratio of standard deviations that is worth one, iterations that are not, and percent of rows that are."""


def sections(found: Diagnosis) -> list[tuple[str, list[tuple[str, str]]]]:
    """Titles of what was `found`, and under each the rows of a table: what, and its value."""
    fit, rank, scales = found.fit, found.rank, (found.raw, found.scaled)
    shown = vars(found) | {
        "layout": f"sparse, {found.entries:,} stored numbers" if found.sparse else "dense",
        "share": 100.0 * found.positive,
        "constant": _listed(found.constant) or "none",
        "rank": "not computed (too many columns)" if rank is None else f"{rank:,} of {found.d:,}",
        "about": " at least" if found.estimated else "",
        "conditions": [_shown(scale.condition) for scale in scales],
        "accuracy": EPSILON,
        "bounds": SAYS["bounds seen" if found.estimated else "bounds"],
        "iterations": [_iterations(scale, at_least=found.estimated) for scale in scales],
        "shapes": [_shape(found.along_u), _shape(found.along_fit)],
        "angle": "undefined" if fit.cosine is None else f"{fit.angle:.3g}° (cosine {fit.cosine:.5f})",
        "error": 100.0 * fit.training_error,
        "separable": _separable(found.separability, found.n),
    }
    return [
        (title.format(**shown), [(name, value.format(**shown)) for name, value in rows])
        for title, rows in TABLES
    ]


def findings(found: Diagnosis) -> list[str]:
    """Sentences for someone who has the data and not the paper."""
    rare = 100.0 * min(found.positive, 1.0 - found.positive)
    said = [about(found) for about in (_about_separability, _about_condition, _about_signal, _about_rank)]
    said.append(_say("offset" if found.offset > FAR else "none", **vars(found)))
    said.append(_say("none" if rare >= RARE else "rare class", rare=rare, others=100.0 - rare))
    return list(filter(None, said))


def theory(found: Diagnosis) -> list[str]:
    """What the paper says of such data, in its symbols."""
    return [sentence for about in (_about_direction, _about_shape) if (sentence := about(found))]


def _say(key: str, /, **shown: Any) -> str:
    return SAYS[key].format(**shown)


def _about_separability(found: Diagnosis) -> str:
    kind, rows = found.separability.kind, found.separability.rows
    columns = _listed(found.separability.columns)
    alone, touching = (_say(key, columns=columns) if columns else "" for key in ("alone", "touching"))
    count = "some rows" if rows is None else _several(rows, "row")
    return _say(kind, n=found.n, rows=count, alone=alone, touching=touching, ridge=_say("ridge"))


def _about_condition(found: Diagnosis) -> str:
    raw, scaled = found.raw, found.scaled
    (wide, most), (narrow, least) = found.widest, found.narrowest
    causes = [_say("scales", narrow=narrow, least=least, wide=wide, most=most)] * (most > UNEQUAL * least)
    causes += [_say("tangled", columns=_listed(found.tangled))] * bool(found.tangled)
    cause = " and ".join(causes) or _say("correlated")
    if raw.iterations is None or scaled.iterations is None or raw.condition is None:
        return _say("unresolved", cause=cause)
    before, after = raw.iterations.gradient, scaled.iterations.gradient
    about, up_to = ("at least ", "") if found.estimated else ("", "up to ")
    shown = {"about": about, "up_to": up_to, "condition": _shown(raw.condition), "cause": cause}
    shown["steps"] = _several(before, "iteration")
    if before <= FEW:
        endless = found.separability.kind in ("complete", "partial")
        several = found.rank is not None and found.rank < found.d - len(found.constant)
        start, end = ("with a ridge ", "") if endless or several else ("", ", and any solver will do")
        return _say("well conditioned", start=start, end=end, **shown)
    scaling = "scaling helps" if after < 0.3 * before else "scaling does not help"
    return _say("ill conditioned", scaling=_say(scaling, after=_count(after)), **shown)


def _about_signal(found: Diagnosis) -> str:
    share = 100.0 * found.r_squared
    chance = 100.0 * min((found.d if found.rank is None else found.rank) / max(found.n - 1, 1), 1.0)
    if found.separability.kind == "complete" or share >= max(0.1, 3.0 * chance):
        return ""
    return _say("no signal" if share < 0.1 else "noise", share=share, chance=chance, n=found.n)


def _about_rank(found: Diagnosis) -> str:
    varying = found.d - len(found.constant)
    parts = []
    if found.constant:
        never = "never varies: drop it" if len(found.constant) == 1 else "never vary: drop them"
        count = _several(len(found.constant), "column")
        parts.append(_say("constant", count=count, never=never, columns=_listed(found.constant)))
    if found.copies:
        parts.append(_say("copies", copies=_listed(found.copies)))
    if found.n <= varying:
        parts.append(_say("few rows", n=found.n, varying=varying))
    elif found.rank is not None and found.rank < varying:
        parts.append(_say("dependent", dependent=varying - found.rank, varying=varying))
    return " ".join(parts)


def _about_direction(found: Diagnosis) -> str:
    angle = found.fit.angle
    if angle is None:
        return _say("no direction")
    how = "near" if angle <= 5.0 else "not far" if angle <= 30.0 else "far"
    return _say("direction", angle=angle, how=_say(how))


def _about_shape(found: Diagnosis) -> str:
    shape = found.along_fit
    if shape is None:
        return ""
    if shape.p_value is not None and shape.p_value >= 0.01:
        return _say("Gaussian")
    mild = abs(shape.skewness) < 0.5 and abs(shape.excess_kurtosis) < 1.0 and shape.distance < 0.05
    many = _say("many") if found.n > 5000 else ""
    return _say("nearly Gaussian" if mild else "not Gaussian", many=many, **vars(shape))


def advice(found: Diagnosis, gram_passes: float) -> tuple[str, str]:
    """The default solver, or gradient descent where that takes fewer passes over the data; and why."""
    ridge = "" if found.separability.kind == "none" else ", with a ridge (alpha > 0)"
    gradient = found.raw.iterations.gradient if found.raw.iterations else None
    steps = max(found.fit.iterations, 1)
    if not found.estimated and gradient is not None and gradient < gram_passes + steps:
        passes = _several(gradient, "pass")
        return "gd", _say("gd", passes=passes, with_ridge=ridge, gram=_count(gram_passes))
    rival = "cannot get there" if gradient is None else f"may need {_several(gradient, 'iteration')}"
    settled = "took" if found.fit.converged else "had not quite settled after"
    seen = "wide" if found.estimated else "fitted"
    seen = _say(seen, d=found.d, settled=settled, steps=_several(steps, "step"))
    return "auto", _say("auto", with_ridge=ridge, seen=seen, rival=rival)


# --- numbers in words


def _iterations(spectrum: Spectrum, *, at_least: bool) -> str:
    found = spectrum.iterations
    if found is None:
        return _say("no iterations")
    about, gd, cg = "at least " * at_least, _count(found.gradient), _count(found.conjugate_gradient)
    return _say("iterations", about=about, gd=gd, cg=cg, metric=found.metric)


def _shape(shape: Gaussianity | None) -> str:
    if shape is None:
        return "does not vary"
    p = "too few rows to test" if shape.p_value is None else f"p {shape.p_value:.2g}"
    return _say("shape", p=p, **vars(shape))


def _separable(found: Separability, n: int) -> str:
    if found.kind == "partial":
        return f"partly: {'some' if found.rows is None else f'{found.rows:,}'} of {n:,} rows"
    return {"complete": "yes", "none": "no", "not decided": "not decided"}[found.kind]


def _shown(value: float | None) -> str:
    return "not resolved (above 1e15)" if value is None else f"{value:.3g}"


def _count(value: float) -> str:
    return f"{round(value):,}" if value < 1e6 else f"{value:.1e}"


def _several(count: float, noun: str) -> str:
    ending = "" if _count(count) == "1" else "es" if noun.endswith("s") else "s"
    return f"{_count(count)} {noun}{ending}"


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
