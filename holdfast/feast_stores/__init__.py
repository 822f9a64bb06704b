"""Feast plugins: offline store, online stores, registry store.

Reading model inputs belongs to holdfast.online_features, applying definitions to holdfast.feature_store.
"""
