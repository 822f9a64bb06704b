"""Effect of the inputs of a view: an informative event raises the performance surely, another one does not."""

import pytest

from holdfast.training.input_effects import InputEffect, NoInputsError, compute_input_effects
from holdfast.training.model_families import find_family
from tests.support.event_shop_sets import event_training_set, split_recipe


def measure(seed: int, log_hazard_ratio: float, family: str) -> dict[str, InputEffect]:
    """Measure the effects of the views of a generated shop, by the default parameters of a family."""
    data = event_training_set(seed, log_hazard_ratio)
    recipe = split_recipe(data, family, find_family(family).defaults)
    return {effect.view: effect for effect in compute_input_effects(recipe, data, resamples=300)}


@pytest.mark.long
@pytest.mark.parametrize("log_hazard_ratio", [1.0, -2.0], ids=["leave sooner", "leave later"])
@pytest.mark.parametrize(("seed", "family"), [(1, "logistic"), (2, "boosting"), (3, "logistic")])
def test_informative_event_enters_and_another_one_does_not(seed: int, family: str, log_hazard_ratio: float) -> None:
    effects = measure(seed, log_hazard_ratio, family)
    tickets, mails = effects["tickets"], effects["mails"]
    assert tickets.inputs == ("ticket_30d", "ticket_90d")
    assert tickets.is_sure and tickets.brier.low > 0 and tickets.roc_auc.low > 0
    assert not mails.is_sure
    assert abs(mails.brier.value) < tickets.brier.value / 5


def test_event_without_effect_does_not_enter() -> None:
    """The purchases and the events are those of independent processes."""
    effects = measure(4, 0.0, "logistic")
    assert not effects["tickets"].is_sure and not effects["mails"].is_sure
    assert effects["history"].is_sure or effects["activity"].is_sure


def test_purchase_model_has_no_inputs_to_compare() -> None:
    data = event_training_set(4, 0.0)
    with pytest.raises(NoInputsError, match="has no inputs of several feature views"):
        compute_input_effects(split_recipe(data, "bg_nbd", {}), data)
