"""Trained models as they are served: contract, fingerprint, scoring, explanations and reads of the model registry.

Fitting and evaluation belong to holdfast.training, changes of the registry to holdfast.model_versions.
"""
