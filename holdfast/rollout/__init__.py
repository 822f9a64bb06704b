"""Rollout of the challenger: shadow, canary steps, guardrails, verdicts.

The promotion that ends a rollout belongs to holdfast.promotion.
"""
