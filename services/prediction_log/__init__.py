"""Prediction log writer: queue, Arrow records, files.

The format that readers share is holdfast.core.prediction_log.
"""
