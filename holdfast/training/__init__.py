"""Training set, model search, calibration, evaluation and MLflow tracking.

Gates and aliases are in holdfast.promotion and holdfast.model_versions.
"""
