"""BentoML services. They know the feature repository and nothing of the flows."""

from feature_repo.settings import apply_environment

apply_environment()
