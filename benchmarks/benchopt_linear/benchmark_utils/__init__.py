"""Shared by the components of the benchmark."""
