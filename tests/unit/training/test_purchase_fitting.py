"""Maximum likelihood fit of purchase models."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from holdfast.core.types import Bools, Floats
from holdfast.models.purchase_models import PURCHASE_INPUTS, BgNbdModel, ParetoNbdModel, PurchaseModel
from holdfast.training import purchase_fitting
from holdfast.training.dataset import PurchaseHistory
from holdfast.training.metrics import compute_metrics
from holdfast.training.purchase_fitting import MAX_CUSTOMERS, fit_purchase_model, maximize_likelihood

MODELS = [BgNbdModel, ParetoNbdModel]
INPUTS = ["other", *PURCHASE_INPUTS]
HORIZON = 90
# Parameters of shops where people buy every three weeks or so, in days.
SIMULATED = {BgNbdModel: (1.2, 25.0, 1.5, 6.0), ParetoNbdModel: (1.2, 25.0, 0.8, 150.0)}


def _inputs(history: PurchaseHistory) -> Floats:
    return np.column_stack([np.zeros(len(history.age)), history.repeats + 1, history.age, history.age - history.last])


def _simulate(model: type[PurchaseModel], customers: int, seed: int) -> tuple[PurchaseHistory, Bools]:
    """Simulate the assumptions of a model purchase by purchase, not by its formula; return outcomes as well."""
    rng = np.random.default_rng(seed)
    r, alpha, third, fourth = SIMULATED[model]  # type: ignore[type-abstract]
    rate, age = rng.gamma(r, 1 / alpha, customers), rng.uniform(30, 300, customers)
    if model is BgNbdModel:
        dropout, end = rng.beta(third, fourth, customers), np.full(customers, np.inf)
    else:
        dropout, end = np.zeros(customers), rng.exponential(1 / rng.gamma(third, 1 / fourth, customers))
    repeats, last, now = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    silent, alive = np.ones(customers, dtype=bool), np.ones(customers, dtype=bool)
    while alive.any():
        now = np.where(alive, now + rng.exponential(1 / rate), np.inf)
        alive &= now < end
        before, within = alive & (now < age), alive & (now >= age) & (now < age + HORIZON)
        repeats[before] += 1
        last[before] = now[before]
        silent[within] = False
        alive = before & (rng.random(customers) >= dropout)
    return PurchaseHistory(repeats, last, age), silent


class TestCdnow:
    @pytest.mark.parametrize(
        ("model", "published", "log_likelihood"),
        [
            (BgNbdModel, [0.243, 4.414, 0.793, 2.426], -9582.4),  # Fader, Hardie and Lee (2005)
            (ParetoNbdModel, [0.553, 10.578, 0.606, 11.669], -9595.0),  # Fader, Hardie and Lee (2005)
        ],
    )
    def test_maximize_likelihood_cdnow_sample_equals_published_parameters(
        self, model: type[PurchaseModel], published: list[float], log_likelihood: float
    ) -> None:
        """Compare with the 2,357 customers of the publication, in weeks."""
        spec = importlib.util.find_spec("lifetimes")
        assert spec is not None
        assert spec.origin is not None
        table = pd.read_csv(Path(spec.origin).parent / "datasets" / "cdnow_customers_summary.csv")
        history = [table[name].to_numpy(dtype=np.float64) for name in ("frequency", "recency", "T")]
        assert len(table) == 2357
        found = maximize_likelihood(model, *history)
        assert found == pytest.approx(published, rel=3e-4, abs=6e-4)
        assert model(found).log_likelihood(*history).sum() == pytest.approx(log_likelihood, abs=0.06)


class TestSimulation:
    @pytest.fixture(scope="class", params=MODELS, ids=lambda model: model.__name__)
    def simulated(self, request: pytest.FixtureRequest) -> tuple[PurchaseHistory, Bools, Floats]:
        model = request.param
        history, silent = _simulate(model, 60_000, 1)
        fitted = fit_purchase_model(model, _simulate(model, 6_000, 0)[0], INPUTS, HORIZON)
        return history, silent, fitted.predict_proba(_inputs(history))[:, 1]

    @pytest.mark.parametrize(
        ("name", "group"),
        [
            ("all", lambda repeats, share: repeats >= 0),
            ("bought once", lambda repeats, share: repeats == 0),
            ("once again, long ago", lambda repeats, share: (repeats == 1) & (share < 0.3)),
            ("once again, lately", lambda repeats, share: (repeats == 1) & (share > 0.7)),
            ("often, long ago", lambda repeats, share: (repeats > 4) & (share < 0.5)),
            ("often, lately", lambda repeats, share: (repeats > 4) & (share > 0.8)),
        ],
    )
    def test_fit_purchase_model_simulated_customers_scores_match_churn_rate(
        self,
        simulated: tuple[PurchaseHistory, Bools, Floats],
        name: str,
        group: Callable[[Floats, Floats], Bools],
    ) -> None:
        history, silent, scores = simulated
        rows = group(history.repeats, history.last / history.age)
        assert rows.sum() > 300
        noise = np.sqrt(0.25 / rows.sum())
        assert scores[rows].mean() == pytest.approx(silent[rows].mean(), abs=0.015 + 3 * noise)

    def test_fit_purchase_model_simulated_customers_scores_vary(
        self, simulated: tuple[PurchaseHistory, Bools, Floats]
    ) -> None:
        """Check that the test above compares different scores."""
        _, silent, scores = simulated
        assert np.std(scores) > 0.2
        assert compute_metrics(silent, scores)["ece"] < 0.02


@pytest.mark.parametrize("model", MODELS)
class TestDegenerate:
    @pytest.mark.parametrize(
        ("repeats", "last", "age"),
        [
            pytest.param([0] * 30, [0] * 30, range(30), id="no customer repeats"),
            pytest.param([5] * 30, [40] * 30, [41] * 30, id="all are alike"),
            pytest.param([0, 1, 3, 1, 8], [0, 38, 39, 8, 43], [40, 41, 42, 43, 44], id="five customers"),
            pytest.param([3], [50], [80], id="one customer"),
            pytest.param([0], [0], [0], id="one purchase at the cut-off"),
            pytest.param([0] * 50, [0] * 50, [0] * 50, id="all on one day"),
            pytest.param([0] * 50, [0] * 50, [300] * 50, id="all on one day, long ago"),
            pytest.param([900, 0], [1000, 0], [1000, 1000], id="daily and never"),
            pytest.param([], [], [], id="no customer"),
        ],
    )
    def test_fit_purchase_model_degenerate_history_valid_scores(
        self, model: type[PurchaseModel], repeats: list[float], last: list[float], age: list[float]
    ) -> None:
        """Such likelihoods have no maximum, or more than one: the parameters stay within bounds."""
        history = PurchaseHistory(*(np.array(part, dtype=np.float64) for part in (repeats, last, age)))
        fitted = fit_purchase_model(model, history, INPUTS, HORIZON)
        assert np.isfinite(fitted.parameters).all()
        assert min(fitted.parameters) > 0
        x = np.vstack([_inputs(history), [[0, 1, 20, 20], [0, 4, 100, 3], [0, 4, 100, 90]]])
        scores = fitted.predict_proba(x)[:, 1]
        assert ((scores >= 0) & (scores <= 1)).all()
        assert np.isfinite(fitted.decision_function(x)).all()
        assert fitted.decision_function(x)[-1] >= fitted.decision_function(x)[-2]

    def test_fit_purchase_model_no_repeats_expects_no_purchase(self, model: type[PurchaseModel]) -> None:
        age = np.linspace(1, 400, 200)
        fitted = fit_purchase_model(model, PurchaseHistory(0 * age, 0 * age, age), INPUTS, HORIZON)
        assert (fitted.predict_proba(np.array([[0, 1, 100, 100]]))[:, 1] > 0.99).all()


@pytest.mark.parametrize("model", MODELS)
class TestSample:
    def test_fit_purchase_model_same_history_same_parameters(self, model: type[PurchaseModel]) -> None:
        history = _simulate(model, 2_000, 3)[0]
        first = fit_purchase_model(model, history, INPUTS, HORIZON)
        purchase_fitting._maximize.cache_clear()
        assert fit_purchase_model(model, history, INPUTS, HORIZON).parameters == first.parameters

    def test_fit_purchase_model_many_customers_uses_evenly_spaced_sample(self, model: type[PurchaseModel]) -> None:
        history = _simulate(model, 3 * MAX_CUSTOMERS, 4)[0]
        fitted = fit_purchase_model(model, history, INPUTS, HORIZON)
        rows = np.linspace(0, 3 * MAX_CUSTOMERS - 1, MAX_CUSTOMERS).astype(int)
        sample = PurchaseHistory(*(part[rows] for part in history))
        expected = fit_purchase_model(model, sample, INPUTS, HORIZON).parameters
        assert fitted.parameters == pytest.approx(expected, rel=1e-3)
        assert fitted.parameters[:2] == pytest.approx(SIMULATED[model][:2], rel=0.15)  # type: ignore[type-abstract]

    def test_fit_purchase_model_finds_its_columns(self, model: type[PurchaseModel]) -> None:
        history = _simulate(model, 500, 5)[0]
        fitted = fit_purchase_model(model, history, INPUTS, HORIZON)
        assert (fitted.columns, fitted.inputs, fitted.horizon_days) == ((1, 2, 3), 4, HORIZON)
        with pytest.raises(ValueError, match="tenure_days"):
            fit_purchase_model(model, history, INPUTS[:2], HORIZON)
