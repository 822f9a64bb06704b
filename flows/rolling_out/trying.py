"""One step of a rollout, from its beginning, or from where a killed run left it, to its end."""

from dataclasses import replace

from mlflow import MlflowClient

from feature_repo.loaded_model import UnusableModelError
from feature_repo.registered_version import NotServableError
from feature_repo.settings import Settings
from flows.promotion.errors import TrafficError
from flows.promotion.records import RolloutRecord
from flows.rolling_out.moves import begin, changed_by_hand
from flows.rolling_out.pair import load_pair
from flows.rolling_out.service_metrics import kept
from flows.rolling_out.settings import RolloutSettings
from flows.rolling_out.watching import Outcome, Surroundings, watch
from flows.rolling_out.work import Work, interruption


def try_out(
    client: MlflowClient, settings: Settings, work: Work, rules: RolloutSettings, world: Surroundings
) -> Outcome:
    """Begin the step that the work is at, or go on with it: its start and its counters stay, the traffic is sent anew.

    How it ended is only said, not done: that is for :func:`flows.rolling_out.telling.finish`.
    """
    record, now = _begun(work, rules, world), world.clock()
    step = work.step(rules)
    assert step is not None
    try:
        why = interruption(client, work.version, record)
        if not why and work.record is not None:
            why = changed_by_hand(client, work.version, step)
        if why:
            return Outcome(record.model_copy(update={"verdict": "stopped", "when": now, "why": why, "base": {}}), None)
        pair = load_pair(client, settings, work.version, str(work.champion))
        begin(client, settings, work.version, record, now)
    except (TrafficError, NotServableError, UnusableModelError) as error:
        held = {"verdict": "stopped", "when": now, "why": str(error), "is_held": True, "base": {}}
        return Outcome(record.model_copy(update=held), None)
    outcome = watch(client, settings, work.version, record, pair, world)
    return replace(outcome, record=outcome.record.model_copy(update={"flow_run": world.flow_run}))


def _begun(work: Work, rules: RolloutSettings, world: Surroundings) -> RolloutRecord:
    if work.record is not None and work.record.verdict == "begun":
        return work.record
    step, state, now = work.step(rules), world.look(), world.clock()
    assert step is not None
    return RolloutRecord(
        step=step.name,
        share=step.share,
        begun=now,
        when=now,
        verdict="begun",
        champion=work.champion,
        gates=work.gates,
        flow_run=world.flow_run,
        rules=work.record.rules if work.record else rules.changed(),
        base=kept(state.counters, filter(None, (work.version, work.champion))) if state else {},
    )
