"""Simulated rollout: real registry and log, a clock moved by pauses, a service that follows the tags."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from feature_repo.settings import Settings
from holdfast.core.prediction_log import ScoredBatch
from holdfast.model_versions.aliases import set_challenger
from holdfast.model_versions.records import RolloutRecord, parse_events
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.label import RECENCY_FEATURE
from holdfast.models.registered_version import NoSuchAliasError
from holdfast.models.registry_client import RegistryClient
from holdfast.rollout import registry_actions
from holdfast.rollout.notifications import finish_step
from holdfast.rollout.rollout_selection import PendingRollout, find_next_rollout
from holdfast.rollout.service_metrics import ServiceState
from holdfast.rollout.settings import RolloutSettings
from holdfast.rollout.step_monitor import StepDependencies, StepResult
from holdfast.rollout.step_runner import run_step
from tests.support.prediction_batches import write_log
from tests.support.registered_versions import base_shop, fit_kind, record_passed_gates, register_version

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
RULES = RolloutSettings(min_requests=100, watch_minutes=1)
CANARY = RULES.model_copy(update={"shadow": False})
SLOW_POLLING = RULES.model_copy(update={"poll_seconds": 30.0})  # fewer looks in the same time


@dataclass
class SimulatedRollout:
    """Rollout in which the service scores active and inactive customers between two polls.

    Tests set the counters of the service.
    """

    settings: Settings
    client: Any
    champion: str
    challenger: str
    kinds: dict[str, str]
    active_customers: int = 30
    inactive_customers: int = 0
    now: datetime = NOON
    counters: dict[str, float] = field(default_factory=lambda: {"answered": 0.0, "failed": 0.0, "unavailable": 0.0})
    is_reachable: bool = True
    refused: frozenset[str] = frozenset()
    unavailable: frozenset[str] = frozenset()
    clock_ahead_seconds: float = 0
    flow_run: str = ""
    shift: float = 0.0
    skew: str | None = None
    reachability_changes: list[bool] = field(default_factory=list)
    before_read: Callable[["SimulatedRollout"], Any] = lambda rollout: None
    reads: int = 0

    def find_by_alias(self, alias: str) -> Any:
        try:
            return RegistryClient(self.settings.mlflow_tracking_uri).get_by_alias(alias)
        except NoSuchAliasError:
            return None

    def find_served_versions(self) -> tuple[str, str | None, str | None]:
        """Return champion, challenger and mode, as the registry defines them now."""
        champion, challenger = self.find_by_alias(CHAMPION).number, self.find_by_alias(CHALLENGER)
        traffic = challenger.traffic().active_at(self.now) if challenger and challenger.number != champion else None
        on = traffic is not None and traffic.mode != "off"
        return champion, challenger.number if on else None, traffic.mode if traffic and on else None

    def advance(self, seconds: float) -> None:
        """Advance the clock and score customers."""
        self.now += timedelta(seconds=seconds)
        if self.active_customers or self.inactive_customers:
            self._answer()

    def _answer(self) -> None:
        champion, challenger, mode = self.find_served_versions()
        rng = np.random.default_rng(self.reads)
        rows = rng.choice(len(base_shop().test.x), self.active_customers, replace=False)
        routes = [(champion, "champion")] + ([(challenger, mode)] if challenger and mode else [])
        names = [feature.name for feature in base_shop().test.inputs]
        others = base_shop().test.x[np.arange(self.inactive_customers) % len(base_shop().test.x)].copy()
        others[:, names.index(RECENCY_FEATURE)] = 400.0
        customers = [*(f"c{row}" for row in rows), *(f"removed{row}" for row in range(self.inactive_customers))]
        for version, route in routes:
            x = np.vstack([base_shop().test.x[rows], others])
            scores = fit_kind(self.kinds.get(version, "good")).predict_proba(x)[:, 1] + (
                self.shift if version == self.challenger else 0
            )
            n = len(x)
            batch = ScoredBatch(
                version=version,
                route=route,  # type: ignore[arg-type]
                answered_at_us=int(self.now.timestamp() * 1e6),
                request_ids=[f"{self.reads}-{customer}" for customer in customers],
                customer_ids=customers,
                as_of_us=np.full(n, int(NOON.timestamp() * 1e6)),
                input_names=names,
                inputs=x,
                views=["v"],
                timestamps_us=np.full((n, 1), int(NOON.timestamp() * 1e6)),
                predictions=np.clip(scores, 0, 1),
                stale=np.zeros(n, dtype=bool),
            )
            write_log(self.settings.predictions / f"_{self.reads}", batch)
            source = next((self.settings.predictions / f"_{self.reads}").rglob("*.arrows"))
            target = self.settings.predictions / batch.key.date / f"{version}-{route}-{self.reads}.arrows"
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
        self.counters["answered"] += self.active_customers + self.inactive_customers

    def read_service(self) -> ServiceState | None:
        """Return the state of the service; None if it does not respond."""
        self.reads += 1
        self.before_read(self)
        champion, challenger, mode = self.find_served_versions()
        if not self.is_reachable:
            return None
        known = (dict(self.counters), champion, challenger, mode, self.refused)
        return ServiceState(*known, self.clock_ahead_seconds, self.unavailable)

    @property
    def dependencies(self) -> StepDependencies:
        clock, skew = (lambda: self.now), (lambda: self.skew)
        return StepDependencies(
            clock, self.advance, self.read_service, skew, self.reachability_changes.append, self.flow_run
        )

    def pending_rollout(self, rules: RolloutSettings = RULES) -> PendingRollout:
        """Return the rollout to run."""
        found = find_next_rollout(self.client, rules=rules)
        assert isinstance(found, PendingRollout), found
        return found

    def run_step(self, rules: RolloutSettings = RULES) -> StepResult:
        """Run the next step without acting on its end."""
        return run_step(self.client, self.settings, self.pending_rollout(rules), self.dependencies)

    def finish_step(self, rules: RolloutSettings = RULES) -> RolloutRecord:
        """Run the next step and act on its end."""
        record = self.run_step(rules).record
        finish_step(self.client, self.settings, self.challenger, record, self.now)
        return record

    def list_recorded_steps(self) -> list[tuple[str, float, str]]:
        """Return step, share and verdict of each rollout event of the challenger."""
        tags = self.client.get_model_version(MODEL_NAME, self.challenger).tags
        events = [event for event in parse_events(tags, self.challenger) or [] if isinstance(event, RolloutRecord)]
        return [(event.step, event.share, event.verdict) for event in events]


def start_rollout(settings: Settings, client: Any, kind: str = "good", **contract: Any) -> SimulatedRollout:
    """Register a good champion, and a challenger of a kind that has passed its gates."""
    champion, challenger = register_version(client), register_version(client, kind, **contract)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
    record_passed_gates(client, challenger, champion)
    set_challenger(client, challenger)
    return SimulatedRollout(settings, client, champion, challenger, {champion: "good", challenger: kind})


def watch_promoted(rollout: SimulatedRollout) -> RolloutRecord:
    """Promote the challenger and return the record of the step ``watch``."""
    pending = rollout.pending_rollout()
    record = RolloutRecord(
        step="canary",
        share=0.25,
        started_at=rollout.now,
        when=rollout.now,
        verdict="passed",
        champion=pending.champion,
        gates=pending.gates,
        rules=RULES.non_defaults(),
    )
    record.save(rollout.client, rollout.challenger)
    registry_actions.promote_challenger(rollout.client, rollout.settings, rollout.pending_rollout(), "why", rollout.now)
    return rollout.finish_step()
