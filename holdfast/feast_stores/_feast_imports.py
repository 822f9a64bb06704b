"""Names that this repository imports from Feast, imported without the run-time type checks of Feast's classes.

Feast decorates 22 classes with typeguard's ``@typechecked``, which rewrites and compiles the source of each class in
every process: 2.0 of the 2.6 seconds until a service can read its first feature. During this import the decorator does
nothing. Feast's own command line imports Feast before this module and retains its checks.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typeguard


@contextmanager
def _without_type_checks() -> Iterator[None]:
    decorator = typeguard.typechecked
    setattr(typeguard, "typechecked", lambda target: target)  # noqa: B010  mypy forbids to assign a function
    try:
        yield
    finally:
        setattr(typeguard, "typechecked", decorator)  # noqa: B010


with _without_type_checks(), warnings.catch_warnings():  # Feast turns on the deprecation warnings of every library
    from feast import FeatureStore
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey as EntityKeyProto
    from feast.protos.feast.types.Value_pb2 import Value as ValueProto
    from feast.protos.feast.types.Value_pb2 import ValueType
    from feast.repo_config import FeastConfigBaseModel, RegistryConfig, RepoConfig, load_repo_config

__all__ = [
    "EntityKeyProto",
    "FeastConfigBaseModel",
    "FeatureStore",
    "RegistryConfig",
    "RepoConfig",
    "ValueProto",
    "ValueType",
    "load_repo_config",
]

# Importing Feast turns on the deprecation warnings of every library; Python's default is off. Feast's own commands open
# the store without `open_store`.
warnings.simplefilter("ignore", DeprecationWarning)
warnings.filterwarnings("ignore", message="On demand feature view is an experimental feature")
