"""Retraining policies replayed on past data, and their results.

The flow is flows/backtest.py.
"""
