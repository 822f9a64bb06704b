"""Serving benchmark: Holdfast compared with a no-op, a naive service, `feast serve` and `mlflow models serve`.

benchmarks/bench_serving.py runs the benchmark.
"""
