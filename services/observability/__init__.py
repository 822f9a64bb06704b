"""Metrics, logs and traces of the service.

Monitoring of the model belongs to holdfast.monitoring.
"""
