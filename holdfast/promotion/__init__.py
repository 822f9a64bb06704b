"""Promotion gates, approval, champion updates, rollback.

Records and aliases that other packages read belong to holdfast.model_versions.
"""
