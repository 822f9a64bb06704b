"""BentoML service: reads online features at the request and scores them.

Ships with feature_repo and holdfast.{core,feast_stores,models,online_features}; it never imports flows.
"""

import os

from feature_repo.settings import apply_environment

apply_environment()
# A request scores a few rows: starting OpenMP's threads takes many times longer than the scoring itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")
