"""Benchmark of the costs by the size of a shop."""
