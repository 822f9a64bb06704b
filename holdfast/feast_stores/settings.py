"""Settings of the feature store."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_repo.settings import EnvironmentSettings

FEATURE_REPO = Path(__file__).resolve().parents[2] / "feature_repo"


class FeatureStoreSettings(EnvironmentSettings):
    """Settings of the feature store; an empty variable counts as unset."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    redis: str = Field(
        default="localhost:6379",
        repr=False,  # may contain a password
        description="Redis server, as Feast's connection string: host:6379,password=secret,ssl=true.",
    )
    installation: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]*$",
        description="Name of the installation in the keys of Redis, where several share a server; empty: a name in the "
        "data folder.",
    )
    config_file: Path = Field(
        default=FEATURE_REPO / "feature_store.yaml",
        validation_alias="FEAST_FS_YAML_FILE_PATH",
        description="Configuration of the feature store (Feast's own variable); with Redis "
        "feature_repo/feature_store.redis.yaml.",
    )
