"""Verdict on a rollout step from its observations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from holdfast.core.types import Floats
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

_AS_REGISTERED = 1e-9


@dataclass(frozen=True)
class StepObservation:
    """Observations of a step up to now.

    Attributes:
        step: The step.
        version: Version of the rollout.
        champion: Champion at the begin of the rollout.
        answers: Logged predictions of the version.
        tried: Scores of the registered model for the logged inputs, shape (customers,).
        champions: Scores of the champion for the same inputs, shape (customers,).
        state: State of the service; None if the service does not answer.
        base: Counters at the begin of the step.
        grown: Counts since the begin of the step.
        lately: Counts of the last five minutes.
        lasts_seconds: Age of the step in seconds.
        skew: Open skew finding, which puts the inputs of every version in doubt.
    """

    step: RolloutStep
    version: str
    champion: str
    answers: ChallengerPredictions
    tried: Floats
    champions: Floats
    state: ServiceState | None
    base: Mapping[str, float]
    grown: Mapping[str, float]
    lately: Mapping[str, float]
    lasts_seconds: float
    skew: str | None = None


@dataclass(frozen=True)
class StepVerdict:
    """Verdict on a step.

    Attributes:
        verdict: "waits" for a step without a breach that is not complete.
        figures: Evaluated guardrails.
        why: Breached guardrails, or what the step waits for.
    """

    verdict: Literal["passed", "waits", "breached"]
    figures: Sequence[Guardrail]
    why: str


def evaluate_step(seen: StepObservation, pair: ModelPair, rules: RolloutSettings) -> StepVerdict:
    """Evaluate a step: breached as soon as a breach is certain, passed with enough requests and no doubt.

    Polls before the last one are repeated and therefore use the higher ``early_certainty``.

    Args:
        seen: Observations of the step.
        pair: Challenger and champion.
        rules: Settings of the rollout.

    Returns:
        The verdict.
    """
    waits = _waits_for(seen, rules)
    certainty = rules.early_certainty if waits else rules.certainty
    figures = [*_of_answers(seen, pair, rules, certainty), *_of_service(seen, rules, certainty)]
    if breached := [figure.summary for figure in figures if figure.verdict == "breached"]:
        return StepVerdict("breached", figures, "; ".join(breached))
    if seen.answers.differing:
        return StepVerdict("breached", figures, f"two versions were given different inputs: {seen.answers.differing}")
    if refused := _refused(seen, rules):
        return StepVerdict("breached", figures, refused)
    return StepVerdict("waits" if waits else "passed", figures, waits)


def _of_answers(seen: StepObservation, pair: ModelPair, rules: RolloutSettings, certainty: float) -> list[Guardrail]:
    """Evaluate scores beside the champion's scores of the same active customers and inputs.

    Decisions use the champion's threshold: another threshold is set on purpose and carries no information about scores.
    """
    active, every = seen.answers.active, seen.answers.probabilities
    said, champions, threshold = every[active], seen.champions[active], pair.champion.contract.threshold
    change = (said >= threshold).astype(float) - (champions >= threshold)
    largest = float(np.abs(every - seen.tried).max(initial=0))
    figures = [
        check_rank_correlation(said, champions, rules.min_rank_correlation, certainty),
        check_mean("difference", np.abs(said - champions), rules.max_difference, certainty),
        check_mean("decisions", change, rules.max_decision_change, certainty),
        check_exact("as registered", largest, _AS_REGISTERED, len(every)),
    ]
    return figures if pair.tested is None else [*figures, check_psi(pair.tested, said, rules.max_psi, certainty)]


def _of_service(seen: StepObservation, rules: RolloutSettings, certainty: float) -> list[Guardrail]:
    """Evaluate errors and latency. A 503 blames no version: a dependency is unavailable, and the step waits."""
    if seen.state is None:
        return []
    grown = seen.grown
    before = seen.base.get("failed", 0.0) / seen.base["answered"] if seen.base.get("answered") else 0.0
    limit = max(rules.max_error_share, min(0.5, 2 * before))  # what failed before is not its doing
    figures = [check_share("errors", grown["failed"], grown["answered"], limit, certainty)]
    if seen.step.name != "watch":
        failures = grown.get(f"failures:{seen.version}", 0.0)
        figures.append(check_exact("failures", failures, rules.max_failures, seen.answers.requests))
    if seen.step.name != "shadow":  # nobody waits for what it says in shadow
        others = latency_buckets(seen.base if seen.step.name == "watch" else grown, seen.champion)
        own = latency_buckets(grown, seen.version)
        figures.append(check_latency(own, others, rules.max_latency_ratio, rules.latency_floor_ms, certainty))
    return figures


def _refused(seen: StepObservation, rules: RolloutSettings) -> str:
    """Why, where the service has had time to take the version up and says that it will not."""
    state = seen.state
    if state is None or seen.version not in state.refused or seen.lasts_seconds < rules.lease_seconds / 3:
        return ""
    if seen.step.name == "watch":
        return "" if state.champion == seen.version else "the service refuses to serve it; its log says why"
    return "" if state.challenger == seen.version else "the service refuses to try it out; its log says why"


def _waits_for(seen: StepObservation, rules: RolloutSettings) -> str:
    """What a step that shows nothing bad waits for; empty where it has passed."""
    state = seen.state
    if state is None:
        return "the service does not answer"
    if seen.skew:
        return f"skew: {seen.skew}"
    if seen.version in state.unavailable:  # its store of files may be back at the next look
        return "the service cannot download it; its log says why"
    away, asked = seen.lately["unavailable"], seen.lately["answered"]
    if check_share("errors", away, asked, rules.max_error_share, rules.certainty).verdict == "breached":
        return f"{away:.0f} of the last {asked:.0f} requests got 503: the service is not well"
    if seen.answers.judged < rules.min_requests:
        return f"{seen.answers.judged} of {rules.min_requests} requests about active customers"
    active = int(seen.answers.active.sum())
    if seen.step.name != "canary" and active < MIN_ROWS:  # a small share of a small shop has no more
        return f"{active} different active customers scored, of {MIN_ROWS} that tell something"
    if seen.step.name == "watch" and seen.lasts_seconds < rules.watch_minutes * 60:
        return f"watched for {seen.lasts_seconds / 60:.1f} of {rules.watch_minutes:g} minutes"
    return ""
