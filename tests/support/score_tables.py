"""Fingerprints of stored score tables."""

from feature_repo.settings import Settings


def stat_score_files(settings: Settings) -> dict[str, tuple[int, int]]:
    """Return inode and modification time of each score table; both change when the table is rewritten."""
    paths = settings.scores.rglob("*.parquet")
    return {str(path.relative_to(settings.scores)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}
