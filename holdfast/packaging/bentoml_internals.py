"""Adapter to private names of BentoML; no other module of this package uses ``bentoml._internal``.

BentoML's public functions work on the stores of BENTOML_HOME only, which BentoML reads once per process. Holdfast has
the stores of a given data folder, so it opens the store classes, which are private. Each name has a contract test.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import bentoml
from bentoml import Tag
from bentoml._internal.bento import BentoStore
from bentoml._internal.models import ModelStore

__all__ = ["BentoStore", "ModelStore", "create_model"]


def create_model(store: Path, tag: Tag, **options: Any) -> AbstractContextManager[bentoml.Model]:
    """Create a model in a store other than that of BENTOML_HOME.

    Args:
        store: Folder of the store.
        tag: Tag of the model.
        options: Options of ``bentoml.models.create``.

    Returns:
        A context that saves the model at its end.
    """
    return bentoml.models.create(tag, _model_store=ModelStore(store), **options)
