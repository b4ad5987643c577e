"""Section 4.4 as a designed experiment: each choice that the paper does not print, both ways."""
