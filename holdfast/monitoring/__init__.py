"""Monitoring views: data quality, drift, training-serving skew, performance.

What follows from a finding belongs to holdfast.retraining and holdfast.alerting.
"""
