"""Names of persons in records, each with the evidence for it: a text that a person typed proves nothing."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# claimed: a typed name; login: the user of this machine, by the kernel; signature: the holder of a key in the file of
# approvers; shared: a holder of Prefect's password, which several persons may share; program: no person.
Proof = Literal["claimed", "login", "signature", "shared", "program"]
_LOGIN_ID = Path("/proc/self/loginuid")
_NO_LOGIN = 2**32 - 1  # of processes that no login started, such as those of a container
_DESCRIPTIONS: dict[Proof, str] = {
    "claimed": "claimed by {}",
    "login": "by {} (login)",
    "signature": "by {} (signed)",
    "shared": "by a holder of Prefect's password",
    "program": "by {}",
}


@dataclass(frozen=True)
class Person:
    """Person or program that did something.

    Attributes:
        name: Name; empty where several persons share the proof.
        proof: Evidence for the name.
    """

    name: str
    proof: Proof

    def __str__(self) -> str:
        """Return the name as part of a sentence, such as "claimed by Ann"."""
        return describe_person(self.name, self.proof)


def describe_person(name: str, proof: Proof) -> str:
    """Describe a person with the evidence for the name.

    Args:
        name: Name of the person.
        proof: Evidence for the name.

    Returns:
        Part of a sentence, such as "claimed by Ann" or "by ann (signed)".
    """
    return _DESCRIPTIONS[proof].format(name)


def find_login() -> Person:
    """Find the user that logged in; sudo and su keep it, and no environment variable changes it.

    Returns:
        The user; that of the process where no login started it.
    """
    user = os.getuid()
    try:
        login = int(_LOGIN_ID.read_text())
        user = user if login == _NO_LOGIN else login
    except (OSError, ValueError):
        pass  # a kernel without it
    try:
        return Person(pwd.getpwuid(user).pw_name, "login")
    except KeyError:
        return Person(f"user {user}", "login")
