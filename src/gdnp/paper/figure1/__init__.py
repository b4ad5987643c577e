"""Figure 1: level sets and the paths of gradient flow and GDNP_seq."""
