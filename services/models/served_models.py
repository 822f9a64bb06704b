"""Models in service: the champion, and a challenger in shadow or canary mode."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from holdfast.models.loaded_version import LoadedVersion


@dataclass(frozen=True)
class ServedModels:
    """Models in service at one time; immutable, so that a request uses consistent models.

    Each model reads the version of the feature definitions that its contract names.

    Attributes:
        champion: Champion.
        challenger: Challenger; None: none.
        mode: ``shadow``: the challenger's scores are logged only; ``canary``: it scores a share of the customers.
        share: Traffic share of the canary, 0 to 1.
    """

    champion: LoadedVersion
    challenger: LoadedVersion | None = None
    mode: Literal["shadow", "canary"] | None = None
    share: float = 0.0

    def __post_init__(self) -> None:
        if (self.challenger is None) != (self.mode is None) or (self.mode == "canary") != (self.share > 0):
            raise ValueError(f"inconsistent models: challenger {self.challenger}, mode {self.mode}, share {self.share}")

    @cached_property
    def model(self) -> str:
        """Return the name of the model, such as ``churn``."""
        return self.champion.model

    @cached_property
    def has_two_definitions(self) -> bool:
        """Return True if the challenger reads another version of the feature definitions than the champion."""
        return self.challenger is not None and self.challenger.definitions != self.champion.definitions

    def routes_to_canary(self, customer_id: str) -> bool:
        """Decide whether the challenger scores a customer.

        A hash maps each customer to a number from 0 to 1; customers below the share are routed to the challenger. All
        processes therefore route alike at all times, and a growing share retains all customers it had. The hash is
        salted with the challenger's version, so that another challenger gets other customers.

        Args:
            customer_id: Customer.

        Returns:
            True if the challenger scores the customer.
        """
        if self.mode != "canary":
            return False
        bucket = self._salted_hash.copy()
        bucket.update(customer_id.encode(errors="surrogatepass"))
        return bucket.digest() < self._share_bound

    @cached_property
    def _salted_hash(self) -> "hashlib.blake2b":
        assert self.challenger is not None
        return hashlib.blake2b(digest_size=8, person=self.challenger.contract.model_version.encode()[:16])

    @cached_property
    def _share_bound(self) -> bytes:
        """Return the upper bound of the share; bytes compare as big-endian numbers."""
        return min(int(self.share * 2**64), 2**64 - 1).to_bytes(8)
