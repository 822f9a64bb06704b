"""Verdict of a rollout step, from its predictions and the metrics of the service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from holdfast.core.types import Bools, Floats
from holdfast.models.loaded_regressor import LoadedRegressor
from holdfast.rollout.challenger_predictions import ChallengerPredictions
from holdfast.rollout.guardrails import (
    MIN_ROWS,
    Guardrail,
    check_exact,
    check_latency,
    check_mean,
    check_psi,
    check_rank_correlation,
    check_share,
)
from holdfast.rollout.model_pair import ModelPair
from holdfast.rollout.service_metrics import ServiceState, latency_buckets
from holdfast.rollout.settings import RolloutSettings
from holdfast.rollout.steps import RolloutStep

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class StepObservation:
    """Data about a step at a poll.

    Attributes:
        predictions: Predictions of the version in the log.
        challenger_scores: The registered challenger's scores of the same inputs, shape (customers,).
        champion_scores: The registered champion's scores of the same customers, shape (customers,); NaN for a customer
            that it cannot score.
        service: State of the service; None if it does not respond.
        start_counters: Counters of the service at the start of the step.
        counters: Counts since the start of the step.
        recent_counters: Counts of the last minutes.
        elapsed_seconds: Time since the start of the step.
        skew: Description of an open skew, which puts the inputs of all versions in doubt.
        unknown_scores: Reason why the champion's scores are unknown; "" if they are known.
    """

    step: RolloutStep
    version: str
    champion: str
    predictions: ChallengerPredictions
    challenger_scores: Floats
    champion_scores: Floats
    service: ServiceState | None
    start_counters: Mapping[str, float]
    counters: Mapping[str, float]
    recent_counters: Mapping[str, float]
    elapsed_seconds: float
    skew: str | None = None
    unknown_scores: str = ""

    @property
    def compared(self) -> Bools:
        """Return the mask of the active customers that both versions have scored."""
        return self.predictions.active & np.isfinite(self.champion_scores) & np.isfinite(self.predictions.values)


@dataclass(frozen=True)
class StepVerdict:
    """Verdict of a step.

    Attributes:
        reason: What is breached, or what the step waits for; "" if passed.
    """

    status: Literal["passed", "waits", "breached"]
    guardrails: Sequence[Guardrail]
    reason: str


def evaluate_step(observation: StepObservation, pair: ModelPair, rules: RolloutSettings) -> StepVerdict:
    """Evaluate a step: breached as soon as a breach is certain, passed with enough requests and no doubt.

    Polls before the one that could pass the step need a higher certainty, as they are repeated tests.

    Args:
        observation: Data about the step.
        pair: Both models.
        rules: Settings of the rollout.

    Returns:
        The verdict.
    """
    waits_for = _find_wait_reason(observation, rules)
    certainty = rules.early_certainty if waits_for else rules.certainty
    guardrails = [
        *_check_predictions(observation, pair, rules, certainty),
        *_check_service(observation, rules, certainty),
    ]
    if breached := [guardrail.summary for guardrail in guardrails if guardrail.verdict == "breached"]:
        return StepVerdict("breached", guardrails, "; ".join(breached))
    if mismatch := observation.predictions.input_mismatch:
        return StepVerdict("breached", guardrails, f"two versions were given different inputs: {mismatch}")
    if refusal := _find_refusal(observation, rules):
        return StepVerdict("breached", guardrails, refusal)
    return StepVerdict("waits", guardrails, waits_for) if waits_for else StepVerdict("passed", guardrails, "")


def _check_predictions(
    observation: StepObservation, pair: ModelPair, rules: RolloutSettings, certainty: float
) -> list[Guardrail]:
    """Compare predictions with the champion's, of the same active customers; each model has its own definitions."""
    every, active = observation.predictions.values, observation.predictions.active
    compared = observation.compared
    own, champion = every[compared], observation.champion_scores[compared]
    is_value = isinstance(pair.champion, LoadedRegressor)
    guardrails = [
        check_rank_correlation(own, champion, rules.min_rank_correlation, certainty),
        *(
            _check_values(observation, own, champion, rules, certainty)
            if is_value
            else _check_probabilities(own, champion, pair.champion.contract.threshold, rules, certainty)
        ),
        check_exact("as registered", _largest_deviation(every, observation.challenger_scores), _TOLERANCE, len(every)),
    ]
    if pair.test_scores is not None:
        predicted = every[active & np.isfinite(every)]
        guardrails.append(check_psi(pair.test_scores, predicted, rules.max_psi, certainty))
    return guardrails


def _check_probabilities(
    own: Floats, champion: Floats, threshold: float, rules: RolloutSettings, certainty: float
) -> list[Guardrail]:
    """Compare at the champion's threshold: another threshold is set on purpose, and is no score change."""
    change = (own >= threshold).astype(float) - (champion >= threshold)
    return [
        check_mean("difference", np.abs(own - champion), rules.max_difference, certainty),
        check_mean("decisions", change, rules.max_decision_change, certainty),
    ]


def _check_values(
    observation: StepObservation, own: Floats, champion: Floats, rules: RolloutSettings, certainty: float
) -> list[Guardrail]:
    """Compare expected values in the unit of the champion's mean."""
    predicted = observation.predictions.active & np.isfinite(observation.champion_scores)
    missing = int((predicted & ~np.isfinite(observation.predictions.values)).sum())
    change = (own - champion) / mean if len(champion) and (mean := float(champion.mean())) > _TOLERANCE else np.empty(0)
    return [
        check_mean("relative difference", np.abs(change), rules.max_relative_difference, certainty),
        check_mean("total", change, rules.max_total_change, certainty),
        check_share("missing", missing, int(predicted.sum()), rules.max_missing_share, certainty),
    ]


def _largest_deviation(logged: Floats, computed: Floats) -> float:
    """Return the largest deviation, in units of a prediction above 1; infinite if only one of a pair is missing."""
    absent = np.isnan(logged) & np.isnan(computed)
    deviation = np.abs(logged - computed) / np.maximum(1.0, np.abs(computed))
    return float(np.where(absent, 0.0, np.nan_to_num(deviation, nan=np.inf)).max(initial=0))


def _check_service(observation: StepObservation, rules: RolloutSettings, certainty: float) -> list[Guardrail]:
    """Check errors and latency. A 503 has its cause in a dependency of the service: the step waits."""
    if observation.service is None:
        return []
    counters, start = observation.counters, observation.start_counters
    error_share_before = start.get("failed", 0.0) / start["answered"] if start.get("answered") else 0.0
    limit = max(rules.max_error_share, min(0.5, 2 * error_share_before))  # errors of before are not the challenger's
    guardrails = [check_share("errors", counters["failed"], counters["answered"], limit, certainty)]
    if observation.step.name != "watch":
        failures = counters.get(f"failures:{observation.version}", 0.0)
        guardrails.append(check_exact("failures", failures, rules.max_failures, observation.predictions.requests))
    if observation.step.name != "shadow":  # callers do not wait for scores in shadow
        others = latency_buckets(start if observation.step.name == "watch" else counters, observation.champion)
        own = latency_buckets(counters, observation.version)
        guardrails.append(check_latency(own, others, rules.max_latency_ratio, rules.latency_floor_ms, certainty))
    return guardrails


def _find_refusal(observation: StepObservation, rules: RolloutSettings) -> str | None:
    """Return why the service does not serve the version, once it had time to load the version."""
    service, version = observation.service, observation.version
    is_early = observation.elapsed_seconds < rules.lease_seconds / 3
    if service is None or version not in service.refused or is_early:
        return None
    role = "champion" if observation.step.name == "watch" else "challenger"
    is_served = version == (service.champion if role == "champion" else service.challenger)
    return None if is_served else f"the service refuses to serve it as {role}; see the service's log"


def _find_wait_reason(observation: StepObservation, rules: RolloutSettings) -> str | None:
    """Return what a step without a breach waits for; None if it has passed."""
    if observation.service is None:
        return "the service does not respond"
    if observation.skew:
        return f"skew: {observation.skew}"
    if observation.version in observation.service.unavailable:  # the artifact store may be back at the next poll
        return "the service cannot download it; see the service's log"
    unavailable, answered = observation.recent_counters["unavailable"], observation.recent_counters["answered"]
    if check_share("errors", unavailable, answered, rules.max_error_share, rules.certainty).verdict == "breached":
        return f"{unavailable:.0f} of the last {answered:.0f} requests got 503: wait until the service responds"
    if observation.predictions.active_requests < rules.min_requests:
        return f"{observation.predictions.active_requests} of {rules.min_requests} requests about active customers"
    if observation.unknown_scores:
        return observation.unknown_scores
    compared = int(observation.compared.sum())
    if observation.step.name != "canary" and compared < MIN_ROWS:  # a small share of a small shop has no more
        return f"{compared} different active customers scored by both versions, of at least {MIN_ROWS}"
    if observation.step.name == "watch" and observation.elapsed_seconds < rules.watch_minutes * 60:
        return f"monitored for {observation.elapsed_seconds / 60:.1f} of {rules.watch_minutes:g} minutes"
    return None
