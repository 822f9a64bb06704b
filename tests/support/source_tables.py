"""Files of a source from columns of text."""

import numpy as np
import pyarrow as pa

from holdfast.ingestion.reading.source import SourceFile


def make_source_file(columns: dict[str, list[str]], name: str = "source.csv") -> SourceFile:
    """Build a file as its reader gives it, with rows numbered from 1."""
    rows = pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()})
    return SourceFile(name, rows, np.arange(1, rows.num_rows + 1))
