"""Feast's registry in a database."""

from pathlib import Path

from holdfast.feast_stores.settings import FEATURE_REPO


def sql_registry(folder: Path, database: Path) -> dict[str, str]:
    """Write a store configuration with the registry in a SQLite database, and return the variable that selects it."""
    database.parent.mkdir(exist_ok=True)
    text = (FEATURE_REPO / "feature_store.yaml").read_text()
    file = folder / "feature_store.sql.yaml"
    file.write_text(
        f"{text[: text.index('  registry_store_type')]}  registry_type: sql\n  path: sqlite:///{database}\n"
        # A connection that is open would outlive the loss of the file.
        "  sqlalchemy_config_kwargs: {echo: false, pool_pre_ping: true}\n"
        f"{text[text.index('  cache_ttl') :]}"
    )
    return {"FEAST_FS_YAML_FILE_PATH": str(file)}
