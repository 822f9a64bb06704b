"""BentoML options and the changes to BentoML's internals, each measured with ``make bench-serving``.

No other module of the service uses a private name of BentoML; tests/unit/services/test_bentoml_patches.py checks each
of these names, and fails when the pinned version moves.

Predictions are routed, and errors written, by an ASGI middleware (``services.api.middleware``) instead of an
application that ``@bentoml.asgi_app`` mounts: a mounted application runs behind BentoML's own middlewares, which are
the ones that cost more than a prediction and have to be removed in either case.
"""

import gc
import warnings
from typing import Any

from starlette.middleware import Middleware

_GARBAGE_THRESHOLDS = (10_000, 20, 100)


def service_options(workers: int) -> dict[str, Any]:
    """Return the options of ``@bentoml.service``.

    Args:
        workers: Number of processes.

    Returns:
        Keyword arguments of the decorator.
    """
    return {
        "workers": workers,
        # /readyz and BentoML's own client; predictions have their own thread (services.inference.micro_batcher).
        "threads": 1,
        # A log line costs as much as a prediction; metrics and the prediction log hold the same facts.
        "logging": {"access": {"enabled": False}},
    }


def remove_bentoml_middlewares() -> None:
    """Remove three middlewares of BentoML that no setting turns off; ``ApiMiddleware`` replaces them.

    TimeoutMiddleware starts a timer for each request and leaves it running after the response. Each timer holds a
    dozen objects until it expires: at 5,000 requests a second and 30 seconds, the garbage collector stops all requests
    for 0.2 s at a time. RunnerTrafficMetricsMiddleware writes to memory-mapped files within the request, a third of
    the cost of a request under load, and creates a series for every path ever requested. OpenTelemetryMiddleware
    stores query strings and callers' addresses in spans, and costs time even without a trace exporter.
    """
    from _bentoml_impl.server.app import ServiceAppFactory
    from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
    from bentoml._internal.server.http.traffic import TimeoutMiddleware
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    get_middlewares = ServiceAppFactory.middlewares.fget
    removed = (RunnerTrafficMetricsMiddleware, OpenTelemetryMiddleware, TimeoutMiddleware)

    def remaining(factory: ServiceAppFactory) -> list[Middleware]:
        return [layer for layer in get_middlewares(factory) if layer.cls not in removed]

    ServiceAppFactory.middlewares = property(remaining)


def ignore_model_fields_warning() -> None:
    """Ignore the warning that BentoML 1.4 causes at each request by reading a deprecated Pydantic attribute.

    Call this after Feast's import, which sets warning filters itself.
    """
    warnings.filterwarnings("ignore", message="Accessing the 'model_fields' attribute", module="_bentoml_impl")


def freeze_garbage_collector() -> None:
    """Exclude all objects that exist now from garbage collections; call this when everything is loaded.

    A full collection over all imported modules stops every request for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
