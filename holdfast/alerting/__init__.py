"""Alerts, their outbox and channels, and the Prefect events that trigger them.

Findings are produced in holdfast.monitoring and holdfast.rollout.
"""
