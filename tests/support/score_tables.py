"""Stored score tables, as tests compare them."""

from feature_repo.settings import Settings


def files(settings: Settings) -> dict[str, tuple[int, int]]:
    """Every kept table, with what changes when it is written again."""
    found = settings.scores.rglob("*.parquet")
    return {str(path.relative_to(settings.scores)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}
