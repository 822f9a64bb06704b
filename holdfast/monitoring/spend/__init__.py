"""Spend view: outcomes and drift of the expected spend in the score tables."""
