"""Scores of all active customers at one time, and their outcomes.

Scoring at a request belongs to services/.
"""
