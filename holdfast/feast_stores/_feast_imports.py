"""Names that this repository imports from Feast, without the warnings that Feast turns on."""

import warnings

with warnings.catch_warnings():  # Feast turns on the deprecation warnings of every library
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
