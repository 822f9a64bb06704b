"""Performance view: measured and estimated model performance by cohort.

Evaluation before registration belongs to holdfast.training.
"""
