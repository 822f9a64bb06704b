"""The verdict over a step, from what was seen of it so far."""

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
    """All that is known of a step. ``state`` is None where the service did not answer.

    ``base`` are the service's counters when the step began, ``grown`` what was counted since, ``lately`` that of
    the last minutes alone; ``lasts_seconds`` is how long ago it began. ``skew`` says why the inputs of the service are
    in doubt, whatever the version.
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
    """``why`` says what is breached, or what a step waits for."""

    verdict: Literal["passed", "waits", "breached"]
    figures: Sequence[Guardrail]
    why: str


def evaluate_step(seen: StepObservation, pair: ModelPair, rules: RolloutSettings) -> StepVerdict:
    """Breached at once where that is certain; passed with enough requests, and nothing in doubt.

    Only the look that would end the step asks for less certainty: all before it are repeated.
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
    """Its scores beside those of the champion, of the same active customers from the same inputs.

    Decisions are those at the champion's threshold: another threshold is set on purpose, and tells nothing of scores.
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
    """Errors and time. A 503 is no version's: what the service stands on is away, and the step waits."""
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
