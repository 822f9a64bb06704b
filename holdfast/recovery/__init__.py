"""Policy for failed and stale flow runs, and the Prefect calls that apply it.

The flow is flows/recover.py.
"""
