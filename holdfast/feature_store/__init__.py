"""Feature snapshots, `feast apply`, materialization and the parity check.

Feature definitions belong to feature_repo/, Feast plugins to holdfast.feast_stores.
"""
