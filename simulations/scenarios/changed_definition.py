"""Changed code goes live without `feast apply`: a feature means something else than what the model learned."""

from datetime import UTC, datetime, timedelta

from simulations.assessment import none_of
from simulations.daily_data import START, day_after
from simulations.environment import Running
from simulations.outcome import Detection, Expectation, detection
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import every_step_went_well, nothing_found_after, nothing_found_before
from simulations.workspace import ROOT, change, copy_source

_DAY = 1
_NOON = timedelta(hours=12)
_RUN_WITHIN = 180.0


class ChangedDefinition(Scenario):
    """A copy of the source tree with another mean amount: worker and service run it from a noon to the evening."""

    name = "changed-definition"
    planted = (
        "From the noon of the second day worker and service run code with another mean_purchase_amount, not applied."
    )
    days = 4

    def __init__(self, days: int, fault: bool) -> None:
        super().__init__(days, fault)
        self.training = ""

    def during(self, run: Running) -> None:
        """The changed code goes live, is asked, watched and told to train; in the evening it is taken back."""
        if run.shop.number != _DAY:
            return
        changed = copy_source(run.place.state / "source")
        change(
            changed,
            "feature_repo/transformations.py",
            'mean_purchase_amount=totals.gross.cast("float64") / totals.purchase_days.cast("float64")',
            'mean_purchase_amount=totals.net.cast("float64") / totals.purchase_days.cast("float64") * 0.9',
        )
        run.goes_live(changed)
        run.shop.callers.ask(self.asked_a_day)
        _monitored(run, run.shop.today + _NOON)
        self.training = _asked_to_train(run)
        run.goes_live(ROOT)

    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """The first look with the changed code names what differs; nothing is trained, and no answer is wrong."""
        noon = day_after(START, _DAY) + _NOON
        return [
            detection(
                "holdfast.skew.detected", "*.changed-definition",
                "the first run by the changed code after customers were scored", noon, run.shop.seen,
            )
        ], [
            Expectation(
                expected="training refuses definitions that are not applied",
                found=self.training or "not asked to train",
                met="other definitions than this checkout" in self.training,
            ),
            Expectation(
                expected="no version but the champion",
                found=f"versions {', '.join(_versions(run))}",
                met=_versions(run) == ["1"],
            ),
            nothing_found_before(run, noon),
            nothing_found_after(run, day_after(START, _DAY + 1)),
            none_of(run, ["features", "daily", "retrain", "rollout", "rollback"]),
            every_step_went_well(run),
        ]  # fmt: skip


def _monitored(run: Running, as_of: datetime) -> None:
    """A monitoring run of the worker."""
    since = datetime.now(UTC)
    moment = as_of.isoformat()
    run.shop.worker_runs("monitor", {"as_of": moment, "known_at": moment}, _RUN_WITHIN)
    run.shop.noted(as_of, None, since)


def _asked_to_train(run: Running) -> str:
    """What training says, which somebody starts."""
    known = (run.shop.today + _NOON).isoformat()
    parameters = {"as_of": run.shop.today.isoformat(), "known_at": known}
    return run.shop.worker_runs("train", parameters, _RUN_WITHIN).said


def _versions(run: Running) -> list[str]:
    from holdfast.model_versions.aliases import list_versions, open_registry

    return sorted(str(item.version) for item in list_versions(open_registry(run.shop.settings)))
