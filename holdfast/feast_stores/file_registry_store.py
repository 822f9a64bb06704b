"""Feast registry in a file of the data folder; named in ``feature_store.yaml``."""

from pathlib import Path
from typing import TYPE_CHECKING

from feast.infra.registry import file as feast_registry
from typing_extensions import override

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file
from holdfast.feast_stores._feast_imports import RegistryConfig
from holdfast.feast_stores._feast_private import registry_path, set_registry_path
from holdfast.feast_stores.stored_functions import refuse_other_code

if TYPE_CHECKING:
    from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
    from google.protobuf.message import Message

_DATA_FOLDER = "${HOLDFAST_DATA}"


class FileRegistryStore(feast_registry.FileRegistryStore):
    """Feast's registry file, in the data folder and written atomically.

    Paths under the data folder are stored relative to that folder. With absolute paths, `feast apply` in a copy of the
    folder would drop the tables of the original.
    """

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        self._data = Settings.from_environment().data  # Feast reads the file a hundred times per run
        super().__init__(registry_config, self._data)

    @override
    def get_registry_proto(self) -> "RegistryProto":
        """Read the registry, with paths under the data folder; overrides Feast's method.

        Raises:
            StoredCodeError: The registry contains code that is no source of an on-demand function.
        """
        registry_proto = super().get_registry_proto()
        refuse_other_code(registry_proto)
        _replace_prefix(registry_proto, _DATA_FOLDER, str(self._data))
        return registry_proto

    def _write_registry(self, registry_proto: "RegistryProto") -> None:
        stored = type(registry_proto)()
        stored.CopyFrom(registry_proto)
        _replace_prefix(stored, str(self._data), _DATA_FOLDER)
        target = registry_path(self)
        try:
            with replace_file(target) as temporary:
                set_registry_path(self, temporary)
                super()._write_registry(stored)
        finally:
            set_registry_path(self, target)
        registry_proto.version_id = stored.version_id
        registry_proto.last_updated.CopyFrom(stored.last_updated)


def _replace_prefix(message: "Message", old: str, new: str) -> None:
    """Replace the folder ``old`` by ``new`` in every path in the strings of a message."""
    if old.encode() not in message.SerializeToString():  # most messages: far faster than a visit of each field
        return
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            for item in value.values():
                if not isinstance(item, str):  # tags contain no paths
                    _replace_prefix(item, old, new)
        elif field.message_type:
            for item in value if field.is_repeated else [value]:
                _replace_prefix(item, old, new)
        elif isinstance(value, str) and value.startswith(f"{old}/"):
            setattr(message, field.name, f"{new}{value.removeprefix(old)}")
