"""Training set, model search, calibration, evaluation, MLflow tracking.

Gates and aliases belong to holdfast.promotion and holdfast.model_versions.
"""
