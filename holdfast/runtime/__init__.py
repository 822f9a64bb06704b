"""Processes, endpoints, progress and run states: what flows need from the machine and from Prefect.

Nothing here knows a feature or a model.
"""
