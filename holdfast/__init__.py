"""Churn prediction library: everything that flows, the service and the commands share.

No Prefect flow and no BentoML service belongs here: see flows/ and services/.
"""
