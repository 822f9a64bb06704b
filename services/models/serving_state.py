"""State of model serving, for metrics and tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from services.models.model_selector import ModelSelector


@dataclass(frozen=True)
class ServingState:
    """State of model serving: served versions, versions that cannot be served, reachability of the registry.

    Attributes:
        champion: Version of the champion.
        loaded_from: Source of the champion.
        challenger: Version of the challenger.
        mode: Mode of the challenger.
        share: Traffic share of the canary, 0 to 1.
        unservable: Reason by version, for versions that the registry names and that cannot be served.
        unavailable: Those of ``unservable`` whose file cannot be downloaded now; nothing else is wrong with these.
        reachable: The last read of the registry succeeded; None without a registry.
        last_success: Last successful read of the registry, seconds since 1970.
        note: Sentence about a missing champion in the registry; None if there is one.
    """

    champion: str | None = None
    loaded_from: Literal["registry", "bento"] | None = None
    challenger: str | None = None
    mode: Literal["shadow", "canary"] | None = None
    share: float = 0.0
    unservable: Mapping[str, str] = field(default_factory=dict)
    unavailable: frozenset[str] = frozenset()
    reachable: bool | None = None
    last_success: float | None = None
    note: str | None = None


def serving_state(
    selector: ModelSelector, reachable: bool | None, last_success: float | None, note: str | None
) -> ServingState:
    """Describe the decisions of a selector.

    Args:
        selector: Selector of the served models.
        reachable: The last read of the registry succeeded.
        last_success: Last successful read of the registry, seconds since 1970.
        note: Sentence about a missing champion in the registry; None if there is one.

    Returns:
        State of model serving.
    """
    problems = selector.problems
    state = ServingState(
        unservable={version: problem.reason for version, problem in problems.items()},
        unavailable=frozenset(version for version, problem in problems.items() if problem.is_unavailable),
        reachable=reachable,
        last_success=last_success,
        note=note,
    )
    models = selector.models
    if models is None:
        return state
    return replace(
        state,
        champion=models.champion.contract.model_version,
        loaded_from="bento" if selector.is_from_bento else "registry",
        challenger=models.challenger.contract.model_version if models.challenger else None,
        mode=models.mode,
        share=models.share,
    )
