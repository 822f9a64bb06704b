"""Categories learned from the rows that a model is fitted on, and the refusal of texts that are no categories."""

import numpy as np
import pandas as pd
from sklearn.preprocessing import FunctionTransformer

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.models.categories import InputCategories, category_code, locate_categories
from holdfast.models.category_columns import indicate_categories, rank_categories
from holdfast.training.dataset import TrainingSet

# Of fewer customers the churn rate is known to 9 percentage points at best (standard error), and a category would
# identify people more than it describes them. Customers count, not rows: a customer has a row per cut-off.
MIN_CUSTOMERS = 30
# The 249 countries of ISO 3166 fit. More texts are names or free text, and the contract of a version lists each.
MAX_CATEGORIES = 300
MAX_LENGTH = 100  # code points
_MAX_ALONE = 0.5  # share of the customers
_ADVICE = (
    "is no category. Leave it out of the feature service, or map it to fewer values in its transformation (country "
    "instead of address)."
)


class NoCategoriesError(HoldfastError):
    """Text input whose values are no categories."""


def require_categories(data: TrainingSet) -> None:
    """Check that the texts of each feature, whether or not the model reads it, are categories.

    Args:
        data: Rows of a training.

    Raises:
        NoCategoriesError: A feature has more than 300 texts, a text of more than 100 characters, or a text of one
            customer alone for more than half of the customers that have one.
    """
    views = {feature.name: f"{feature.view}:" for feature in data.inputs}
    for feature, texts in data.texts.items():
        name, rows = views.get(feature, "") + feature, _customers_by_code(data, feature)
        counts, customers = rows["code"].value_counts(), rows["customer"].nunique()
        if len(texts) > MAX_CATEGORIES:
            raise NoCategoriesError(
                f"{name} has {len(texts):,} distinct texts for {customers:,} customers, more than {MAX_CATEGORIES}: it "
                f"{_ADVICE}"
            )
        longest = max(texts, key=len, default="")
        if len(longest) > MAX_LENGTH:
            raise NoCategoriesError(
                f"{name} has a text of {len(longest):,} characters, more than {MAX_LENGTH} ({longest[:20]!r} ...): it "
                f"{_ADVICE}"
            )
        if (alone := int((counts == 1).sum())) > _MAX_ALONE * customers:
            raise NoCategoriesError(
                f"{name} has {alone:,} texts of one customer each, for {customers:,} customers: it identifies people "
                f"and {_ADVICE}"
            )


def name_categories(data: TrainingSet) -> dict[str, InputCategories]:
    """Name the categories of the rows that a model is fitted on, for its contract.

    Args:
        data: The rows.

    Returns:
        Categorical input to its categories.
    """
    named = {}
    for column in _categorical_columns(data):
        name = data.inputs[column].name
        known = learn_codes(data, name)
        fitted = set(data.x[:, column].tolist())
        texts = {text: code for text in data.texts[name] if (code := category_code(text)) in fitted}
        named[name] = InputCategories(
            known=tuple(text for text, code in texts.items() if code in known),
            rare=tuple(text for text, code in texts.items() if code not in known),
        )
    return named


def fit_indicators(data: TrainingSet) -> FunctionTransformer | None:
    """Learn the categories of a linear model: one indicator each.

    Args:
        data: Rows that the model is fitted on.

    Returns:
        First step of the model's pipeline; None without a categorical input.
    """
    columns = _categorical_columns(data)
    codes = [learn_codes(data, data.inputs[column].name) for column in columns]
    return FunctionTransformer(indicate_categories, kw_args={"columns": columns, "codes": codes}) if columns else None


def fit_ranks(data: TrainingSet) -> FunctionTransformer | None:
    """Learn the categories of trees: ranks by churn rate, so that few splits separate them (Fisher, 1958).

    The rate of a category is drawn to that of all rows with the weight of 30 rows; other categories without rows have
    the rate of all rows.

    Args:
        data: Rows that the model is fitted on.

    Returns:
        First step of the model's pipeline; None without a categorical input.
    """
    columns = _categorical_columns(data)
    if not columns:
        return None
    codes = [learn_codes(data, data.inputs[column].name) for column in columns]
    ranks = []
    for column, known in zip(columns, codes, strict=True):
        positions = locate_categories(data.x[:, column], known)
        rows, churners = (np.bincount(positions, weights=w, minlength=len(known) + 2)[:-1] for w in (None, data.y))
        rates = (churners + MIN_CUSTOMERS * data.y.mean()) / (rows + MIN_CUSTOMERS)
        ranks.append(np.unique(rates, return_inverse=True)[1].astype(np.float64))
    return FunctionTransformer(rank_categories, kw_args={"columns": columns, "codes": codes, "ranks": ranks})


def learn_codes(data: TrainingSet, name: str) -> Floats:
    """Learn the categories of a feature; any other category is rare, and a model treats it as a new one.

    Args:
        data: Rows.
        name: Name of the feature.

    Returns:
        Codes of at least 30 customers, ascending, shape (categories,).
    """
    counts = _customers_by_code(data, name)["code"].value_counts()
    return np.sort(counts.index[counts >= MIN_CUSTOMERS].to_numpy(dtype=np.float64))


def _categorical_columns(data: TrainingSet) -> list[int]:
    return [column for column, feature in enumerate(data.inputs) if feature.is_categorical]


def _customers_by_code(data: TrainingSet, name: str) -> pd.DataFrame:
    """Return each code with each of its customers once."""
    rows = pd.DataFrame({"code": data.column(name), "customer": data.keys["customer_id"]})
    return rows.dropna().drop_duplicates()
