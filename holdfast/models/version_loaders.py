"""Loader of a verified model file for each kind of model."""

from collections.abc import Callable, Mapping

from holdfast.core.model_names import ModelKind
from holdfast.models.contract import ServedModel
from holdfast.models.loaded_model import load_verified_model
from holdfast.models.loaded_regressor import load_verified_regressor
from holdfast.models.loaded_version import LoadedVersion

VERSION_LOADERS: Mapping[ModelKind, Callable[[ServedModel, bytes], LoadedVersion]] = {
    "classification": load_verified_model,
    "regression": load_verified_regressor,
}
