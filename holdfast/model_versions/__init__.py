"""Registered model versions: aliases, tags, records, history.

Decisions about a version belong to holdfast.promotion and holdfast.rollout.
"""
