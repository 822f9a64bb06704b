"""BentoML services. They know the feature repository and nothing of the flows."""

import os

from feature_repo.settings import apply_environment

apply_environment()
# A request scores a few rows: starting OpenMP's threads takes many times longer than the scoring itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")
