"""How fast it is: ratios measured within one run. ``python -m benchmarks`` prints a table; see README.md."""
