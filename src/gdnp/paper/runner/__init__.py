"""How an experiment runs: its parts, their store, and what it leaves behind."""
