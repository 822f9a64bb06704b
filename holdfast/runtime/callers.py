"""Person that runs a flow."""

from holdfast.core.identity import Person, find_login
from holdfast.runtime.flow_runs import read_run_origin


def identify_caller(claimed: str | None = None) -> Person:
    """Identify the person that runs the current flow.

    Prefect has one password: of a run that a person started there, the person is not known. The user of the worker is
    the owner of the data folder in any case.

    Args:
        claimed: Name that the caller typed, if any.

    Returns:
        The name with the evidence for it.
    """
    if claimed and claimed.strip():
        return Person(claimed.strip(), "claimed")
    origin = read_run_origin()
    if origin == "command":
        return find_login()
    return Person("", "shared") if origin == "person" else Person(origin, "program")
