"""Prefect flows: wiring only. The pure functions they wire together live in the packages beside them."""

from feature_repo.settings import apply_environment

apply_environment()
