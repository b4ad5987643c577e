"""Figure 3: how the layers of a network depend on each other, with Batch Norm and without."""
