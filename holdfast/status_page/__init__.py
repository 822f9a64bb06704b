"""Status page: system state as one HTML page.

Metrics of the service belong to services/observability/.
"""
