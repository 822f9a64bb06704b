"""Watching a model at work: drift of what it reads and says."""
