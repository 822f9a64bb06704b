"""Request of an ingest run: source, mapping and the decisions of the person who runs it."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class IngestRequest:
    """Parameters of an ingest run.

    Attributes:
        source: File or folder.
        mapping: Mapping file.
        ingested_at: Time at which the rows become known, UTC; None for now.
        replace: Ids of the batches that the source replaces, or their beginnings.
        force: Store the rows although they would be in the table twice, or be lost by a replacement.
    """

    source: Path
    mapping: Path
    ingested_at: datetime | None = None
    replace: tuple[str, ...] = ()
    force: bool = False

    def format_command(self, replace: Sequence[str] = (), force: bool = False) -> str:
        """Format the command that ingests the same source again.

        Args:
            replace: Ids of the batches to replace.
            force: Add ``--force``.

        Returns:
            Command line for a shell in the folder of the project.
        """
        words = [sys.executable, "-m", "flows.ingest", "--source", self.source, "--mapping", self.mapping]
        if self.ingested_at is not None:
            words += ["--ingested-at", f"{self.ingested_at:%Y-%m-%dT%H:%M:%S}"]
        for batch_id in replace:
            words += ["--replace", batch_id]
        if force:
            words.append("--force")
        return shlex.join(str(word.absolute()) if isinstance(word, Path) else str(word) for word in words)
