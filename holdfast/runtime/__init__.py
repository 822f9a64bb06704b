"""Runtime support for flows and commands: processes, locks, endpoints, progress, Prefect's flow runs, MLflow artifacts.

What depends on features, models or monitoring belongs to their packages, the tasks of a flow to flows.
"""
