"""Recovery of failed and dead flow runs: policy, and the calls of the Prefect client that apply it.

The flow is flows/recover.py.
"""
