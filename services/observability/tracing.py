"""OpenTelemetry traces of requests and of the stages of scoring; without a trace endpoint nothing is recorded.

The settings are OpenTelemetry's own: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER`` and others.
"""

import functools
from typing import TYPE_CHECKING

from services.observability.logs import LOG
from services.settings import tracing_enabled

if TYPE_CHECKING:
    from services.observability.spans import SpanRecorder


def open_spans() -> "SpanRecorder | None":
    """Return the span recorder of this process.

    Returns:
        The recorder; None without a trace endpoint, or if OpenTelemetry rejects its settings.
    """
    return _create_spans() if tracing_enabled() else None


@functools.cache
def _create_spans() -> "SpanRecorder | None":
    try:
        from services.observability.spans import SpanRecorder

        return SpanRecorder()
    except Exception:
        LOG.exception("No traces are sent: OpenTelemetry rejects its settings; check the OTEL_ variables")
        return None
