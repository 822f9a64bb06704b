"""The window a monitoring run looks at, and what the service predicted in it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.settings import Settings
from holdfast.core.prediction_log import TIMESTAMP_TYPE, iter_predictions, read_predictions


@dataclass(frozen=True)
class Window:
    """From ``start`` on and before ``as_of``. ``known_at``: nothing that arrived later counts."""

    start: datetime
    as_of: datetime
    known_at: datetime

    @classmethod
    def ending(cls, as_of: datetime, days: float, known_at: datetime) -> "Window":
        """The window of ``days`` that ends at ``as_of``."""
        return cls(as_of - timedelta(days=days), as_of, known_at)


def read_logged_predictions(settings: Settings, window: Window) -> pa.Table:
    """The prediction log of the window, by the time each prediction is about (``as_of``); see ``read_predictions``.

    A prediction for the window's very end counts: in a replay all of a day's are about the last materialisation. On
    the wall clock the time it is about is that of the answer, so only the days of the window are read; any other
    clock says nothing of when answers were given, and all files are.
    """
    near = settings.clock == "wall"
    since, until = (window.start - timedelta(days=1), window.as_of + timedelta(days=1)) if near else (None, None)
    found = []
    for table in iter_predictions(settings.predictions, since, until):
        times = table["as_of"]
        inside = pc.and_(
            pc.greater(times, pa.scalar(window.start, TIMESTAMP_TYPE)),
            pc.less_equal(times, pa.scalar(window.as_of, TIMESTAMP_TYPE)),
        )
        if (rows := table.filter(inside)).num_rows:
            found.append(rows)
    nothing = read_predictions(settings.predictions, until=datetime.fromtimestamp(0, UTC))
    return pa.concat_tables([nothing, *found], promote_options="default")
