"""Shops of the benchmark: the real ones that are present on this machine, and the generated ones."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shops.generators import KINDS, ShopKind
from holdfast.core.errors import HoldfastError, IngestError
from holdfast.ingestion.datasets import DATASETS, locate_dataset

ROOT = Path(__file__).resolve().parents[2]
FOLDER_VARIABLE = "HOLDFAST_SHOPS"
MONTHS_EARLIER = (8, 4, 0)  # before the end of the data; ascending in time, as an online store is filled
TOSS = "coin_toss"
_MAPPING = "columns: {customer_id: customer_id, event_timestamp: event_timestamp, amount: amount}\n"
_DATA_SUFFIXES = (".csv", ".csv.gz", ".parquet")


class UnknownShopError(HoldfastError):
    """A shop that the benchmark does not have, or a folder of shops that does not exist."""


@dataclass(frozen=True)
class Shop:
    """Shop of the benchmark.

    Attributes:
        files: Transactions and column mapping of a real shop; None for a generated shop.
        kind: Kind of a generated shop; None for a real shop.
        seed: Seed of a generated shop.
        months_earlier: Months from each date of the benchmark to the end of the data.
    """

    name: str
    files: tuple[Path, Path] | None = None
    kind: ShopKind | None = None
    seed: int = 0
    months_earlier: tuple[int, ...] = MONTHS_EARLIER

    @property
    def is_real(self) -> bool:
        """Return True for a shop that is not generated."""
        return self.kind is None

    def write_source(self, folder: Path) -> tuple[Path, Path]:
        """Write the transactions and the mapping of a generated shop; those of a real shop exist.

        Args:
            folder: Folder for the files.

        Returns:
            Transactions, mapping.
        """
        if self.files is not None:
            return self.files
        assert self.kind is not None
        source, mapping = folder / f"{self.name}.csv", folder / f"{self.name}.yaml"
        self.kind.generate(self.seed).to_csv(source, index=False)
        mapping.write_text(_MAPPING)
        return source, mapping

    def digest(self) -> str:
        """Compute the digest of the files, or of the seed: the code of the generators is part of the result's key.

        Returns:
            SHA-256, hexadecimal.
        """
        parts = [path.read_bytes() for path in self.files] if self.files else [f"{self.name} {self.seed}".encode()]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def list_shops() -> tuple[list[Shop], list[str]]:
    """List the shops of the benchmark.

    Returns:
        Shops, and a message per data set that is not present on this machine.

    Raises:
        UnknownShopError: The variable HOLDFAST_SHOPS names no folder.
    """
    shops, missing = [], []
    for name in DATASETS:
        try:
            shops.append(Shop(name, locate_dataset(name)))
        except IngestError as error:
            missing.append(f"{name} is skipped: {error}")
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named).expanduser() if named else ROOT.parent / "shared" / "shops"
    if folder.is_dir():
        shops += _real_shops(folder)
    elif named:
        raise UnknownShopError(f"{FOLDER_VARIABLE} is {named!r}, which is no folder. Set it to a folder of shops.")
    else:
        missing.append(f"The shops of {folder} are skipped: there is no such folder. Set {FOLDER_VARIABLE} to another.")
    return [*shops, *(Shop(name, kind=kind, seed=1) for name, kind in KINDS.items())], missing


def list_coin_tosses(count: int) -> list[Shop]:
    """List generated shops without any signal, at the end of their data.

    Args:
        count: Number of shops.

    Returns:
        One shop per seed from 1.
    """
    return [
        Shop(f"{TOSS}_{seed:03d}", kind=KINDS["no_signal"], seed=seed, months_earlier=(0,))
        for seed in range(1, count + 1)
    ]


def select_shops(shops: Sequence[Shop], names: Sequence[str]) -> list[Shop]:
    """Select shops by name.

    Args:
        shops: All shops.
        names: Names to select; all shops without any.

    Returns:
        Shops in the order of ``names``.

    Raises:
        UnknownShopError: A name is unknown.
    """
    known = {shop.name: shop for shop in shops}
    if unknown := [name for name in names if name not in known]:
        raise UnknownShopError(f"No shop {', '.join(unknown)}. Shops on this machine: {', '.join(known)}.")
    return [known[name] for name in names] if names else list(shops)


def _real_shops(folder: Path) -> list[Shop]:
    """List the mappings of a folder that have transactions of the same name beside them."""
    shops = []
    for mapping in sorted(folder.glob("*.yaml")):
        sources = [path for suffix in _DATA_SUFFIXES if (path := mapping.with_name(mapping.stem + suffix)).exists()]
        shops += [Shop(mapping.stem, (sources[0], mapping))] if sources else []
    return shops
