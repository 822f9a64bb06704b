"""How the models in service stand, for the page and the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.models.model_selector import ModelSelector


@dataclass(frozen=True)
class ServingState:
    """Who serves, whom the registry names in vain, and whether it answers.

    ``last_success``, the last answer of the registry, is in seconds since 1970. ``reachable`` is None where no registry
    is configured, or none is there yet. ``refused``: version to why it does not serve although the registry names it;
    ``away``: those of them that only cannot be downloaded now. ``note``: what else is out of the ordinary, as a
    sentence.
    """

    champion: str | None = None
    loaded_from: Literal["registry", "bento"] | None = None
    challenger: str | None = None
    mode: Literal["shadow", "canary"] | None = None
    share: float = 0.0
    refused: Mapping[str, str] = field(default_factory=dict)
    away: frozenset[str] = frozenset()
    reachable: bool | None = None
    last_success: float | None = None
    note: str = ""


def state_of(succession: ModelSelector, reachable: bool | None, last_success: float | None, note: str) -> ServingState:
    """The state with what ``succession`` has decided."""
    lineup = succession.lineup
    refused = {version: refusal.reason for version, refusal in succession.refused.items()}
    away = frozenset(version for version, refusal in succession.refused.items() if refusal.is_away)
    if lineup is None:
        return ServingState(refused=refused, away=away, reachable=reachable, last_success=last_success, note=note)
    return ServingState(
        champion=lineup.champion.contract.model_version,
        loaded_from="bento" if succession.is_from_bento else "registry",
        challenger=lineup.challenger.contract.model_version if lineup.challenger else None,
        mode=lineup.mode,
        share=lineup.share,
        refused=refused,
        away=away,
        reachable=reachable,
        last_success=last_success,
        note=note,
    )
