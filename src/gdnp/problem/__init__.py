"""What solvers minimise: the interface, and the objective on rows of data that implements it."""
