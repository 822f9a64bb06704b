"""Base of the library that the service ships too: errors, file writes, formats, plot style, prediction log.

Modules import NumPy and Arrow only; Matplotlib is an argument. What needs Feast, MLflow, Prefect or a model belongs to
another package.
"""
