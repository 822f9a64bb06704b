"""Errors, atomic file writes, formats and the prediction log, without knowledge of features, models or frameworks."""
