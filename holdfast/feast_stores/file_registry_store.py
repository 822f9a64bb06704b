"""Feast's registry file, with what Holdfast adds to it; named in ``feature_store.yaml``."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from feast.infra.registry import file as feast_registry

from feature_repo.settings import load_settings
from holdfast.feast_stores._feast_imports import RegistryConfig

if TYPE_CHECKING:
    from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
    from google.protobuf.message import Message

_STATE_FOLDER = "${HOLDFAST_DATA}"


class FileRegistryStore(feast_registry.FileRegistryStore):
    """Feast's registry file, in the state folder, replaced as a whole: nobody ever meets half of one.

    Paths under the state folder are kept relative to it. With absolute paths, `feast apply` in a copy of the
    folder would drop the tables of the original.
    """

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        super().__init__(registry_config, load_settings().data)

    def get_registry_proto(self) -> "RegistryProto":
        """The registry, its paths under the state folder as it is now."""
        registry_proto = super().get_registry_proto()
        _replace_prefix(registry_proto, _STATE_FOLDER, str(load_settings().data))
        return registry_proto

    def _write_registry(self, registry_proto: "RegistryProto") -> None:
        stored = type(registry_proto)()
        stored.CopyFrom(registry_proto)
        _replace_prefix(stored, str(load_settings().data), _STATE_FOLDER)
        target = self._filepath
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".registry-") as folder:
            self._filepath = Path(folder) / target.name
            try:
                super()._write_registry(stored)
                self._filepath.replace(target)
            finally:
                self._filepath = target
        registry_proto.version_id = stored.version_id
        registry_proto.last_updated.CopyFrom(stored.last_updated)


def _replace_prefix(message: "Message", old: str, new: str) -> None:
    """In every string of ``message`` that is a path under ``old``, put ``new`` in its place."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            for item in value.values():
                if not isinstance(item, str):  # tags hold no paths
                    _replace_prefix(item, old, new)
        elif field.message_type:
            for item in value if field.is_repeated else [value]:
                _replace_prefix(item, old, new)
        elif isinstance(value, str) and value.startswith(f"{old}/"):
            setattr(message, field.name, f"{new}{value.removeprefix(old)}")
