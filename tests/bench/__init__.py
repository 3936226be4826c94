"""Benchmarks that anyone can run; none is part of `make test`."""
