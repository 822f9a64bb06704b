"""Errors, atomic file writes, locks, text formatting and the prediction log format.

Nothing here knows a feature, a model or a framework.
"""
