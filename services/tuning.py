"""How BentoML is set up for speed; each line was measured (`make bench-serving`)."""

import gc
import os
from typing import Any

from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

SERVICE_OPTIONS: dict[str, Any] = {
    "workers": int(os.environ.get("HOLDFAST_WORKERS", "1")),
    # /readyz and BentoML's own client; predictions have a thread of their own (services.batching).
    "threads": 1,
    # A line per request costs as much as its answer. What it would say is in the metrics and in the prediction log.
    "logging": {"access": {"enabled": False}},
}
_GARBAGE_THRESHOLDS = (10_000, 20, 100)


def remove_bentoml_timeout() -> None:
    """Take BentoML's timeout out; the gate has one of its own.

    BentoML 1.4 starts a timer for each request and leaves it running when the request is answered. Each keeps a dozen
    objects until the timeout is over: at 5,000 requests a second and 30 seconds, the garbage collector stops all
    requests for 0.2 s at a time to look at them. No setting turns it off.
    """
    from bentoml._internal.server.http.traffic import TimeoutMiddleware

    async def pass_on(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    TimeoutMiddleware.__call__ = pass_on  # type: ignore[method-assign]


def remove_bentoml_observers() -> None:
    """Take BentoML's metrics and spans of requests out; ``services.metrics`` and ``services.tracing`` make better ones.

    Its metrics are written to memory-mapped files within the request, which is a third of what a request costs under
    load, and every address that anybody ever asked for becomes series of their own, for ever. Its spans hold query
    strings and callers' addresses, and cost a request something even where none are made.
    """
    from _bentoml_impl.server.app import ServiceAppFactory
    from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    all_of_them = ServiceAppFactory.middlewares.fget
    removed = (RunnerTrafficMetricsMiddleware, OpenTelemetryMiddleware)

    def without(factory: ServiceAppFactory) -> list[Middleware]:
        return [layer for layer in all_of_them(factory) if layer.cls not in removed]

    ServiceAppFactory.middlewares = property(without)


def settle_garbage_collector() -> None:
    """Leave out of collections all that is there by now; to be called when everything is loaded.

    A full collection over all that was imported stops every request for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
