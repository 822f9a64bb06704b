"""On-demand functions in Feast's registry: loaded at their first call, and only from source that was compared.

Feast executes the source of a function, or a pickle, whenever it reads the registry: a person who can write the
registry could run code in the service and in every flow. Here a read executes nothing. The first call compares the
definitions in the registry with the id of their version, a hash, or with the functions of this checkout, and executes
the source without decorators and docstrings: exactly what the hash covers.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from feature_repo.source_hash import sha256, strip_formatting
from holdfast.core.definition_hashes import definitions_version, feature_fingerprint, list_on_demand_views
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores._feast_imports import FeatureStore
from holdfast.feast_stores._feast_private import execute_source, replace_function_loader

if TYPE_CHECKING:
    from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto

    from holdfast.feast_stores._feast_imports import RepoConfig

_lock = threading.Lock()
_approved: set[str] = set()  # SHA-256 of the source without formatting
_opened: "dict[tuple[str, str | None], RepoConfig]" = {}  # by path of the registry and version


class StoredCodeError(HoldfastError):
    """Code in Feast's registry that was changed, or that Holdfast never executes."""


def approve_functions_of(config: "RepoConfig", version: str | None) -> None:
    """Approve the functions of a store that is opened, as soon as one is called and the definitions match.

    Args:
        config: Configuration of the store.
        version: Id of the version of the definitions, with which they are compared; None: the functions are compared
            with those of this checkout.
    """
    with _lock:
        _opened[config.registry.path, version] = config


def approve_sources(sources: Iterable[str]) -> None:
    """Approve functions that the caller has compared.

    Args:
        sources: Source of each function.
    """
    with _lock:
        _approved.update(sha256(strip_formatting(source)) for source in sources)


def refuse_other_code(registry: "RegistryProto") -> None:
    """Remove pickles from a registry, and refuse other forms of code.

    Args:
        registry: Registry as it was read; changed in place.

    Raises:
        StoredCodeError: A stream view, or a transformation that is no Python function, is registered.
    """
    if registry.stream_feature_views:
        raise _other_code(registry.stream_feature_views[0].spec.name)
    for view in registry.on_demand_feature_views:
        if view.spec.feature_transformation.WhichOneof("transformation") != "user_defined_function":
            raise _other_code(view.spec.name)
        view.spec.feature_transformation.user_defined_function.ClearField("body")
        view.spec.user_defined_function.Clear()


def _other_code(name: str) -> StoredCodeError:
    return StoredCodeError(
        f"The feature view {name} in Feast's registry contains code that is no source of a Python function. Holdfast "
        "does not load it. Define on-demand views with mode python, and apply the definitions again."
    )


def _load_later(
    *, udf_string: str = "", body: bytes | None = None, fallback_udf: Any = None, preferred_name: str | None = None
) -> Callable[..., Any]:
    """Replace Feast's ``resolve_udf``: return a function that is loaded at its first call; never read ``body``."""
    del body
    return fallback_udf or StoredFunction(udf_string, preferred_name or "")


class StoredFunction:
    """Function in a registry, loaded at its first call.

    Args:
        source: Source of the function.
        name: Name of the function.
    """

    def __init__(self, source: str, name: str) -> None:
        self._source, self.__name__ = source, name
        self._loaded: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function."""
        if self._loaded is None:
            self._loaded = _load(self._source, self.__name__)
        return self._loaded(*arguments, **options)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return StoredFunction, (self._source, self.__name__)


def _load(source: str, name: str) -> Callable[..., Any]:
    try:
        code = strip_formatting(source)
    except SyntaxError as error:
        raise StoredCodeError(
            f"The source of the on-demand function {name} in Feast's registry is no Python."
        ) from error
    if sha256(code) not in _approved:
        for approved in _matching_sources():
            approve_sources(approved)
    if sha256(code) not in _approved:
        raise StoredCodeError(
            f"The on-demand function {name} in Feast's registry belongs to no version of the definitions that is open, "
            "and differs from that of this checkout: the registry was changed by other means. It is not executed. "
            "Restore the registry, or delete it and run `python -m flows.features`."
        )
    if (function := execute_source(code, name)) is None:
        raise StoredCodeError(f"The on-demand function {name} in Feast's registry cannot be loaded from its source.")
    return function


def _matching_sources() -> Iterator[list[str]]:
    """Yield the sources of the functions of each open store whose definitions match."""
    with _lock:
        stores = [(config, version) for (_, version), config in _opened.items()]
    for config, version in stores:
        if version is None:
            continue
        try:
            store = FeatureStore(config=config)
            matches = definitions_version(feature_fingerprint(store)) == version
            views = list_on_demand_views(store) if matches else []
        except Exception:  # noqa: S112  such a store approves nothing; its own reads report the error
            continue
        yield [view.feature_transformation.udf_string for view in views if view.feature_transformation]
    if any(version is None for _, version in stores):
        yield _checkout_sources()


def _checkout_sources() -> list[str]:
    from feast import OnDemandFeatureView

    from feature_repo import definitions

    views = [getattr(definitions, name) for name in definitions.__all__]
    transformations = [view.feature_transformation for view in views if isinstance(view, OnDemandFeatureView)]
    return [transformation.udf_string for transformation in transformations if transformation]


replace_function_loader(_load_later)
