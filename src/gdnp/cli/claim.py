"""``gdnp claim``."""

from typing import Annotated, Any

import typer

from gdnp.cli.errors import UsageError, one_of
from gdnp.cli.options import Json, flag
from gdnp.cli.terminal import console_of, print_json, print_table
from gdnp.paper.claims import CLAIMS, recorded_results, run_claims

DRAWN = {"figure-1": "Figure 1", "figure-2": "Figure 2", "figure-3": "Figure 3"}
"""Ids of what the paper draws: each stands for the claims about it."""
SHOWN = "id,statement,source,verdict,evidence,measured,bound,counterexample,scope,mutants,measure again"


def claim(
    name: Annotated[
        str, typer.Argument(metavar="[ID]", help="A claim, or figure-1, figure-2, figure-3.")
    ] = "",
    every: Annotated[bool, flag("--list", "All of them: id, source and verdict.")] = False,
    measure: Annotated[bool, flag("--measure", "Measure now, not what is recorded.")] = False,
    as_json: Json = False,
) -> None:
    """Print one claim about the paper with its verdict and its evidence."""
    if every == bool(name):
        raise UsageError("gdnp claim takes one ID, or --list for all of them. Got both or neither.")
    if name:
        one_of("ID", name, (*CLAIMS, *DRAWN))
    chosen = [name] if name in CLAIMS else [c.id for c in CLAIMS.values() if DRAWN.get(name, "") in c.source]
    results = run_claims(chosen) if measure else [r for r in recorded_results() if r.claim.id in chosen]
    found: list[dict[str, Any]] = [
        {
            **result.plain,
            "mutants": list(result.claim.mutants),
            "measure again": f"gdnp claim {result.claim.id} --measure",
        }
        for result in results
    ]
    if as_json:
        print_json(found)
        return
    console = console_of()
    if every:
        rows = [(one["id"], one["source"], one["verdict"]) for one in found]
        rows += [
            (name, words, ", ".join(c.id for c in CLAIMS.values() if words in c.source))
            for name, words in DRAWN.items()
        ]
        print_table(console, "Claims", ("id", "source", "verdict"), rows)
        return
    for one in found:
        for label in SHOWN.split(","):
            if one[label] not in ("", None, []):
                shown = ", ".join(one[label]) if isinstance(one[label], list) else one[label]
                console.print(f"{label + ':':<16}{shown}", markup=False, soft_wrap=True)
        console.print()
