"""Runtime support for flows: processes, endpoints, progress, Prefect states and run artifacts.

No module here knows a feature or a model.
"""
