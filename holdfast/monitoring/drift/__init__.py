"""Drift view: population stability of model inputs and scores.

Training-serving skew belongs to holdfast.monitoring.skew.
"""
