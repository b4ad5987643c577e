"""Approximations H of the Hessian to solve with, and the rule that chooses among them.

The intercept is eliminated by its Schur complement. With c_i = s_i φ''(t_i), C = Σ c_i, m = Σ c_i x_i / C and
A = Σ c_i (x_i - m)(x_i - m)ᵀ + R, the system H (δ, δ_γ) = (g, g_γ) is A δ = g - g_γ m, δ_γ = g_γ/C - mᵀδ.
``full`` holds A, ``low_rank`` its diagonal and a few directions beside it, ``rows`` what it is to the rows
where these are fewer than columns. ``making`` has a c for losses that are not convex.
"""
