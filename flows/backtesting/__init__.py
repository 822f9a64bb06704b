"""Policies of retraining, tried on the past: what each would have done, and what it would have brought."""
