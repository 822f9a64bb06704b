"""What each gate measures of the evidence: a number, None where there is nothing to measure, and what lies behind it.

All take the evidence and the settings, and raise NotComputedError when a piece of the evidence is missing.
"""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

from feature_repo.names import ENTITY_KEY
from holdfast.model_versions.evidence import Evidence, NotComputedError, require
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.evaluation_report import SliceResult

Measurement = tuple[float | None, str]
T = TypeVar("T")


def quality(evidence: Evidence, _: GateSettings) -> Measurement:
    """ROC-AUC of the test, lower end."""
    told = require(evidence.evaluation)
    roc_auc = _known(_known(told.metrics, "model"), "roc_auc")
    return roc_auc.low, f"ROC-AUC {roc_auc} on {told.rows:,} test rows"


def over_baseline(baseline: str, evidence: Evidence, _: GateSettings) -> Measurement:
    """ROC-AUC less that of one baseline, lower end."""
    gain = _known(require(evidence.evaluation).over_baselines, baseline)
    return gain.low, f"difference in ROC-AUC {gain}"


def brier(evidence: Evidence, _: GateSettings) -> Measurement:
    """Brier score of the base rate less the model's, lower end."""
    gain = require(evidence.brier_gain)
    return gain.low, f"difference in Brier score {gain}"


def simpler(evidence: Evidence, _: GateSettings) -> Measurement:
    """ROC-AUC less that of the simplest family, lower end."""
    gain = require(evidence.evaluation).simpler
    if gain is None:
        return None, f"{require(evidence.evaluation).family} is the simplest family"
    return gain.low, f"difference in ROC-AUC {gain} on the test rows"


def champion(evidence: Evidence, _: GateSettings) -> Measurement:
    """ROC-AUC less the champion's on the same rows, lower end."""
    if evidence.over_champion is None:
        return None, "there is no champion to compare with"
    gain = require(evidence.over_champion)
    return gain.low, f"difference in ROC-AUC {gain} from version {evidence.champion} on {evidence.compared_on}"


def surely_worse(evidence: Evidence, settings: GateSettings) -> Measurement:
    """ROC-AUC less the champion's on the same rows, upper end."""
    _, detail = champion(evidence, settings)
    return require(evidence.over_champion).high if evidence.over_champion is not None else None, detail


def surely_worse_brier(evidence: Evidence, _: GateSettings) -> Measurement:
    """The champion's Brier score less its own on the same rows, upper end."""
    if evidence.brier_over_champion is None:
        return None, "there is no champion to compare with"
    gain = require(evidence.brier_over_champion)
    return gain.high, f"difference in Brier score {gain} from version {evidence.champion} on {evidence.compared_on}"


def calibration(evidence: Evidence, _: GateSettings) -> Measurement:
    """Expected calibration error. Not an end of its interval: resampling alone makes both larger."""
    told = require(evidence.evaluation)
    error = _known(_known(told.metrics, "model"), "ece")
    return error.value, f"mean distance of predicted from observed churn {error}; calibration: {told.calibration}"


def calibration_by_month(evidence: Evidence, _: GateSettings) -> Measurement:
    """Distance of the mean prediction from observed churn in the worst month."""
    months = require(evidence.evaluation).months
    if not months:
        raise NotComputedError("the evaluation tells no months")
    return _bias({f"{item.cutoff:%Y-%m-%d}": (item.mean_score, item.base_rate) for item in months})


def calibration_by_slice(evidence: Evidence, settings: GateSettings) -> Measurement:
    """The same in the worst slice that is large enough."""
    large = [item for item in require(evidence.evaluation).slices if item.rows >= settings.min_slice_rows]
    if not large:
        raise NotComputedError(f"no slice has {settings.min_slice_rows} rows")
    return _bias({_named(item): (item.mean_score, item.base_rate) for item in large})


def _bias(groups: Mapping[str, tuple[float, float]]) -> Measurement:
    """The largest distance in groups that each have a mean prediction and a share of churners."""
    distances = {name: abs(predicted - observed) for name, (predicted, observed) in groups.items()}
    if unknown := [name for name, distance in distances.items() if not math.isfinite(distance)]:
        raise NotComputedError(f"no mean prediction or no observed churn of {', '.join(unknown)}")
    name = max(distances, key=lambda name: distances[name])
    predicted, observed = groups[name]
    return distances[name], f"{name}: predicted {predicted:.1%}, observed {observed:.1%}"


def _named(item: SliceResult) -> str:
    return f"{item.feature}: {item.label}"


def slices(evidence: Evidence, settings: GateSettings) -> Measurement:
    """ROC-AUC of all rows less that of the worst slice that is large enough, lower end."""
    slices = require(evidence.evaluation).slices
    large = [item for item in slices if item.rows >= settings.min_slice_rows]
    skipped = [_named(item) for item in slices if item.rows < settings.min_slice_rows]
    if not large:
        raise NotComputedError(f"no slice has {settings.min_slice_rows} rows")
    if unknown := [_named(item) for item in large if item.gap is None or not math.isfinite(item.gap.low)]:
        raise NotComputedError(f"no ROC-AUC of {', '.join(unknown)}")
    name, gap = max(((_named(item), item.gap) for item in large if item.gap), key=lambda pair: pair[1].low)
    return gap.low, f"{name}: ROC-AUC {gap} below all rows'" + (
        f"; too small to judge: {', '.join(skipped)}" if skipped else ""
    )


def stability(evidence: Evidence, _: GateSettings) -> Measurement:
    """Change of a probability on resampled customers, in the worst of a few refits: too few for a 95% interval."""
    change = require(evidence.evaluation).instability
    return change.high, (
        f"a probability changes by {change.value:.3f} on average, by at most {change.high:.3f} in the few refits on "
        "resampled customers"
    )


def direction(evidence: Evidence, _: GateSettings) -> Measurement:
    """Share of customers for whom the model points the wrong way."""
    return require(evidence.wrong_direction), "share of customers whose risk falls as their silence grows"


def invariance(evidence: Evidence, _: GateSettings) -> Measurement:
    """Largest change of a score by what must not change it."""
    if ENTITY_KEY in require(evidence.inputs):
        raise NotComputedError(f"{ENTITY_KEY} is an input: no two customers compare")
    return require(evidence.variance), "largest change of a score in another order, twice in a batch, or alone"


def as_tested(evidence: Evidence, _: GateSettings) -> Measurement:
    """Whether the registered model is the tested one."""
    return require(evidence.as_tested), "largest difference of the registered model's scores from those of its test"


def parity(evidence: Evidence, _: GateSettings) -> Measurement:
    """Values that differ between training and serving, by the last comparison under the model's definitions."""
    parity, definitions = require(evidence.parity), require(evidence.definitions)
    if parts := sorted(part for part, value in definitions.items() if parity.definitions.get(part) != value):
        raise NotComputedError(
            f"the last parity report is of other definitions than the model ({', '.join(parts)} differ); run "
            "`python -m flows.features`"
        )
    return parity.mismatches, f"{parity.values_compared:,} values compared at {parity.as_of:%Y-%m-%d %H:%M} UTC"


def latency(evidence: Evidence, _: GateSettings) -> Measurement:
    """Time of one prediction, ms."""
    return require(evidence.latency_ms), "median of one prediction by the model alone, without service and store, ms"


def size(evidence: Evidence, _: GateSettings) -> Measurement:
    """Size of the model file, MB."""
    return require(evidence.size_mb), "model file, MB"


def forbidden(evidence: Evidence, settings: GateSettings) -> Measurement:
    """Inputs that a model may not have."""
    inputs = require(evidence.inputs)
    found = [name for name in inputs if any(fnmatchcase(name.lower(), p.lower()) for p in settings.forbidden_inputs)]
    return len(found), ", ".join(found) or f"none of {len(inputs)} inputs matches"


def rollbacks(evidence: Evidence, _: GateSettings) -> Measurement:
    """Times the version was rolled back."""
    rollback = evidence.rollback
    if rollback is None:
        return 0, "never"
    return rollback.times, f"by {rollback.who} on {rollback.when:%Y-%m-%d}: {rollback.why}"


def breaches(evidence: Evidence, _: GateSettings) -> Measurement:
    """Whether production found the version worse than the champion, and nobody has had it judged again since."""
    if evidence.breach is None:
        return 0, "never"
    record = evidence.breach.record
    told = f"{record.name} on {record.when:%Y-%m-%d}: {record.why}"
    if evidence.breach.is_in_force:
        return 1, f"{told}; `python -m flows.gates --version ...` judges it all the same"
    return 0, f"judged again, by name, since {told}"


def _known(mapping: Mapping[str, T], name: str) -> T:
    if name not in mapping:
        raise NotComputedError(f"the evaluation knows nothing of {name}")
    return mapping[name]
