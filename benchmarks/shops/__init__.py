"""Shops of the benchmark `make bench-shops`: generated shops, real shops, and one run of the library on each."""
