"""Prefect flows: one file each, wiring only.

The functions that a flow calls belong to holdfast/.
"""

import os
from pathlib import Path

from feature_repo.settings import apply_environment

apply_environment()
# Prefect's server starts over and over, and says nothing, when the parent of its home is missing.
Path(os.environ["PREFECT_HOME"]).expanduser().mkdir(parents=True, exist_ok=True)
