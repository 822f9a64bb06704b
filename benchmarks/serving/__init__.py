"""Serving benchmark: Holdfast beside a no-op, a naive service, `feast serve` and `mlflow models serve`.

Only bench_serving.py runs it.
"""
