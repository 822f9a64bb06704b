"""How BentoML is set up for speed; each line was measured (`make bench-serving`)."""

import gc
from typing import Any

from starlette.middleware import Middleware

from services.settings import load_serving_settings

SERVICE_OPTIONS: dict[str, Any] = {
    "workers": load_serving_settings().workers,
    # /readyz and BentoML's own client; predictions have a thread of their own (services.inference.micro_batcher).
    "threads": 1,
    # A line per request costs as much as its answer. What it would say is in the metrics and in the prediction log.
    "logging": {"access": {"enabled": False}},
}
_GARBAGE_THRESHOLDS = (10_000, 20, 100)


def remove_bentoml_middlewares() -> None:
    """Take out three of BentoML's middlewares that no setting turns off; the gate and our own do their work.

    The timeout starts a timer for each request and leaves it running when the request is answered. Each keeps a dozen
    objects until its time is over: at 5,000 requests a second and 30 seconds, the garbage collector stops all requests
    for 0.2 s at a time to look at them. The metrics are written to memory-mapped files within the request, a third of
    what a request costs under load, and every address that anybody ever asked for becomes series of its own, for ever.
    The spans hold query strings and callers' addresses, and cost a request something even where none are made.
    """
    from _bentoml_impl.server.app import ServiceAppFactory
    from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
    from bentoml._internal.server.http.traffic import TimeoutMiddleware
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    all_of_them = ServiceAppFactory.middlewares.fget
    removed = (RunnerTrafficMetricsMiddleware, OpenTelemetryMiddleware, TimeoutMiddleware)

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
