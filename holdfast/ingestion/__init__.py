"""Transactions from files to checked, immutable batches.

The flow is flows/ingest.py; features are built in holdfast.feature_store.
"""
