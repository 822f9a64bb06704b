"""Data quality view: schema, volume, late and missing data.

Drift of model inputs belongs to holdfast.monitoring.drift.
"""
