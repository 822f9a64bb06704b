"""Feast's local compute engine with columnar writes; named in ``feature_store*.yaml``.

Feast converts each value to a message and each row to a dictionary. This engine reads the same rows from the offline
store and passes them to the online store as an Arrow table. Stores and views that do not support that are written by
Feast's own engine.
"""

from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from typing_extensions import override

from feature_repo.names import ENTITY_KEY
from holdfast.feast_stores.raw_values import ViewRows
from holdfast.feast_stores.value_encoder import ENCODERS

if TYPE_CHECKING:
    from feast import RepoConfig
    from feast.infra.common.materialization_job import MaterializationJob
    from feast.infra.registry.base_registry import BaseRegistry


@runtime_checkable
class ColumnarStore(Protocol):
    """Online store that can write Arrow tables."""

    def writes_columns(self, config: "RepoConfig") -> bool:
        """Check whether the configuration allows columnar writes.

        Args:
            config: Configuration of the feature store.

        Returns:
            False where Feast's own engine writes.
        """
        ...

    def write_columns(self, config: "RepoConfig", rows: ViewRows) -> None:
        """Write the rows of a view.

        Args:
            config: Configuration of the feature store.
            rows: Rows of the view.
        """
        ...


class ColumnarComputeEngineConfig(LocalComputeEngineConfig):
    """Options of Feast's local compute engine."""

    type: Literal["holdfast.feast_stores.columnar_engine.ColumnarComputeEngine"]  # type: ignore[assignment]


class ColumnarComputeEngine(LocalComputeEngine):
    """Feast's local compute engine, which writes snapshots to the online store by column."""

    @override
    def materialize(
        self, registry: "BaseRegistry", tasks: MaterializationTask | list[MaterializationTask], **kwargs: Any
    ) -> "list[MaterializationJob]":
        """Write the rows of each task to the online store; overrides Feast's method."""
        jobs: list[MaterializationJob] = []
        for task in [tasks] if isinstance(tasks, MaterializationTask) else tasks:
            store = self.online_store
            if isinstance(store, ColumnarStore) and store.writes_columns(self.repo_config) and _is_plain(task):
                jobs.append(self._write(store, task))
            else:
                jobs += super().materialize(registry, task, **kwargs)
        return jobs

    def _write(self, store: ColumnarStore, task: MaterializationTask) -> LocalMaterializationJob:
        """Write one view; as in Feast's engine, an error becomes the status of the job, and the caller raises it."""
        status, error = MaterializationJobStatus.SUCCEEDED, None
        try:
            view, source = task.feature_view, task.feature_view.batch_source
            assert source is not None
            table = self.offline_store.pull_latest_from_table_or_query(
                config=self.repo_config,
                data_source=source,
                join_key_columns=[ENTITY_KEY],
                feature_name_columns=[field.name for field in view.features],
                timestamp_field=source.timestamp_field,
                created_timestamp_column=source.created_timestamp_column,
                start_date=task.start_time,
                end_date=task.end_time,
            ).to_arrow()
            if table.num_rows:
                rows = ViewRows(view, table, source.timestamp_field, source.created_timestamp_column)
                store.write_columns(self.repo_config, rows)
        except Exception as problem:
            status, error = MaterializationJobStatus.ERROR, problem
        name = f"{task.feature_view.name}-{task.start_time}-{task.end_time}"
        return LocalMaterializationJob(job_id=name, status=status, error=error)


def _is_plain(task: MaterializationTask) -> bool:
    """Check that a view is stored as its source has it, by customer, and only online."""
    view = task.feature_view
    keys = [(column.name, str(column.dtype)) for column in view.entity_columns]
    return (
        view.online
        and not view.offline
        and keys == [(ENTITY_KEY, "String")]
        and all(str(field.dtype) in ENCODERS for field in view.features)
        and not getattr(view, "feature_transformation", None)
        and not getattr(view, "aggregations", None)
        and view.batch_source is not None
        and not view.batch_source.field_mapping
        and bool(view.batch_source.created_timestamp_column)
        and not getattr(task, "disable_event_timestamp", False)
    )
