"""Remedies in error messages: the only module of this package that names commands.

Commands are the interface for operators, and services, batch scoring and rollout give the same remedy. A text that
each caller passes through the registry client would exist three times.
"""

FIRST_MODEL = "Run `python -m flows.train`, then promote the trained version with `python -m flows.promote`."
RETRAIN = "Train again with `python -m flows.train`, then promote the trained version."
PACKAGE = "Package the champion: `python -m flows.package`."
PACKAGE_AGAIN = "Package the champion again: `python -m flows.package`."
SET_TRAFFIC = "Set it with `python -m flows.traffic`."
SAME_ENVIRONMENT = (
    "Other libraries or another processor compute different scores. Train again with the libraries and on the kind of "
    "processor that serve."
)


def first_model(model: str) -> str:
    """Return the remedy of a model without a champion.

    Args:
        model: Name of the model.

    Returns:
        Sentence with the commands.
    """
    train, promote = (f"`python -m flows.{flow} --model {model}`" for flow in ("train", "promote"))
    return f"Run {train}, then promote the trained version with {promote}."
