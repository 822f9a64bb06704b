"""Feast plugins: offline store, online stores and registry store.

Reads of model inputs belong to holdfast.online_features, registration of definitions to holdfast.feature_store.
"""
