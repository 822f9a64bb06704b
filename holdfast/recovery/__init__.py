"""Recovery of failed and dead flow runs: policy, and the actions on the Prefect server that apply it.

The flow is flows/recover.py.
"""
