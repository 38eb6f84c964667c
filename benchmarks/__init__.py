"""Benchmarks: each figure measured against its rival in turn, in one run on one machine."""
