"""Trained models as they are served: contract, fingerprint, scoring, explanations, registry reads.

Fitting and evaluation belong to holdfast.training, changes to the registry to holdfast.model_versions.
"""
