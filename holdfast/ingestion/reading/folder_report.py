"""Report of the files of a folder: which were read, and why others were left out."""

from collections.abc import Sequence

from holdfast.ingestion.reading.source import FileReport

_MOST_LINES = 10  # of each kind


def summarize_files(reports: Sequence[FileReport]) -> tuple[str, ...]:
    """Format the reports of a folder as a few lines.

    Args:
        reports: One report per file.

    Returns:
        Lines, those of files that were left out first; none for a source that is no folder.
    """
    if not reports:
        return ()
    notable = [report for report in reports if report.reason]
    plain = [report for report in reports if not report.reason]
    left_out = sum(report.rows_read == 0 for report in notable)
    lines = [f"{len(reports) - left_out} files read, {left_out} left out."]
    for group in (notable, plain):
        lines += [_format(report) for report in group[:_MOST_LINES]]
        if len(group) > _MOST_LINES:
            more = "files were left out, all or in part" if group is notable else "files were read"
            lines.append(f"{len(group) - _MOST_LINES} more {more}: see the artifact ingest-files of the run.")
    return tuple(lines)


def _format(report: FileReport) -> str:
    if report.reason and report.rows_read == 0:
        return f"{report.name}: left out, {report.reason}."
    return f"{report.name}: {report.rows_read:,} rows read{f'; {report.reason}' if report.reason else ''}."
