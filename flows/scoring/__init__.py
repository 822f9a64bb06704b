"""Scoring everybody at once: the active customers at a moment, the champion's word on each, and what came of it."""
