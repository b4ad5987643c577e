"""Table 1: the order of iterations to a critical point."""
