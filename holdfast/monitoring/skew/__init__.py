"""Skew view: served feature values compared with recomputed ones.

Changes of a distribution belong to holdfast.monitoring.drift.
"""
