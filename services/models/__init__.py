"""Served model versions: loading, registry watching, selection.

Scoring belongs to services.inference.
"""
