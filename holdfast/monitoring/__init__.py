"""Monitoring views: data quality, drift, training-serving skew, performance.

The reaction to a finding belongs to holdfast.retraining and holdfast.alerting.
"""
