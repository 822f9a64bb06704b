"""Lineage of a model version, and its reproduction.

The lineage record written by training belongs to holdfast.training.lineage.
"""
