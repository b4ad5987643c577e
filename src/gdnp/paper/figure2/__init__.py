"""Figure 2: the race of GDNP against gradient descent, its acceleration, Batch Norm and Weight Norm."""
