"""Benchmarks: ratios inside one run, against the floor made of the bare calls that the work needs."""
