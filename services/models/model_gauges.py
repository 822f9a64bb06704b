"""Gauges of the served versions of all models."""

from collections.abc import Mapping

from services.models.serving_state import ServingState
from services.observability.metrics import METRICS


def update_model_gauges(states: Mapping[str, ServingState]) -> None:
    """Set the gauges of champions, challengers, versions that cannot be served, and the registry.

    Args:
        states: State of serving by model.
    """
    champions, challengers, unservable = [], [], []
    METRICS.challenger_share.clear()
    for model, state in states.items():
        if state.champion:
            champions.append((model, state.champion, state.loaded_from or ""))
        if state.challenger and state.mode:
            challengers.append((model, state.challenger, state.mode))
            METRICS.challenger_share.set(state.share, model, state.challenger)
            METRICS.start_challenger_series(model, state.challenger)
        for version in state.unservable:
            unservable.append((model, version, "unavailable" if version in state.unavailable else "unusable"))
    METRICS.champion.replace(1, *champions)
    METRICS.challenger.replace(1, *challengers)
    METRICS.refused_versions.set(0, "none", "none", "none")  # the metric exists before any version cannot be served
    METRICS.refused_versions.replace(1, *unservable)
    reachable = [state.reachable for state in states.values() if state.reachable is not None]
    if reachable:
        METRICS.registry_reachable.set(all(reachable))
    successes = [state.last_success for state in states.values() if state.last_success is not None]
    if successes:
        METRICS.registry_success.set(min(successes))
