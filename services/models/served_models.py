"""Who scores a request: the champion, and beside it a challenger that is tried out."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from holdfast.models.loaded_model import LoadedModel


@dataclass(frozen=True)
class ServedModels:
    """The models in service at one moment. It never changes: whoever took it has a whole one.

    The challenger reads the same inputs by the same definitions as the champion. In ``shadow`` it scores every
    request, unseen; as ``canary`` it answers for the ``share`` of the customers for whom ``canary`` is true.
    """

    champion: LoadedModel
    challenger: LoadedModel | None = None
    mode: Literal["shadow", "canary"] | None = None
    share: float = 0.0

    def __post_init__(self) -> None:
        if (self.challenger is None) != (self.mode is None) or (self.mode == "canary") != (self.share > 0):
            raise ValueError(f"no lineup: challenger {self.challenger}, mode {self.mode}, share {self.share}")

    def canary(self, customer_id: str) -> bool:
        """Whether the challenger answers for a customer.

        The same customer gets the same answer in every process, at every time. Each customer has a place from 0 to 1,
        by a hash; those below the share are in, so a growing share keeps all who were in. The hash is salted with the
        challenger's version: the next challenger is tried on others.
        """
        if self.mode != "canary":
            return False
        place = self._salted.copy()
        place.update(customer_id.encode(errors="surrogatepass"))
        return place.digest() < self._end

    @cached_property
    def _salted(self) -> "hashlib.blake2b":
        assert self.challenger is not None
        return hashlib.blake2b(digest_size=8, person=self.challenger.contract.model_version.encode()[:16])

    @cached_property
    def _end(self) -> bytes:
        """The place at which the share ends; bytes compare as the numbers they are."""
        return min(int(self.share * 2**64), 2**64 - 1).to_bytes(8)
