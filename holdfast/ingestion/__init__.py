"""Ingestion of transactions: files to validated, immutable batches.

The flow is flows/ingest.py; features are built in holdfast.feature_store.
"""
