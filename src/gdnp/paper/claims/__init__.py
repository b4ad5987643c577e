"""Every statement of sections 2 to 6 as a claim with a check that computes its verdict.

One module for each part of the paper; importing this package fills the registry in the paper's order.
"""

from importlib import import_module

from gdnp.paper.claims.registry import (
    CLAIMS,
    Claim,
    ClaimResult,
    Measurement,
    Verdict,
    recorded_results,
    run_claims,
)

__all__ = ["CLAIMS", "Claim", "ClaimResult", "Measurement", "Verdict", "recorded_results", "run_claims"]

PARTS = "reparametrisation landscape algorithm experiments networks training"
for part in PARTS.split():  # they fill the registry, in the paper's order
    import_module(f"{__name__}.{part}")
