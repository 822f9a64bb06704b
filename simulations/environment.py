"""Running environment of a simulation: the simulated shop, and components that a scenario can kill or replace."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from holdfast.runtime.processes import ManagedProcess
from simulations.redis_server import RedisServer, running_redis
from simulations.servers import mlflow_server, prefect_server, register_deployments, start_service, start_worker
from simulations.simulated_shop import SimulatedShop
from simulations.workspace import Workspace


@dataclass
class Environment:
    """Components of a simulation.

    Attributes:
        port: Port of the service.
        redis: Redis server of the online store; None: the store is SQLite.
        service_variables: Environment variables of the service.
    """

    workspace: Workspace
    shop: SimulatedShop
    port: int
    worker: ManagedProcess
    service: ManagedProcess
    redis: RedisServer | None
    service_variables: Mapping[str, str]

    def restart_worker(self) -> None:
        """Start a killed worker again, as a process manager does."""
        self.worker.terminate()
        self.worker = start_worker(self.workspace)

    def deploy_source(self, source: Path) -> None:
        """Restart worker and service with another source tree, without `feast apply`.

        Args:
            source: Source tree.
        """
        variables = self.workspace.variables | {"HOLDFAST_PROJECT": str(source)}
        workspace = replace(self.workspace, source=source, variables=variables)
        self.terminate()
        register_deployments(workspace)
        self.shop.api.stop_schedules()
        self.worker = start_worker(workspace)
        self.service = start_service(workspace, self.port, self.service_variables)

    def metric(self, name: str) -> float:
        """Read a metric of the service.

        Args:
            name: Name of the metric.

        Returns:
            Sum of all series.
        """
        text = httpx.get(f"{self.shop.clients.url}/metrics", timeout=10, trust_env=False).text
        families = text_string_to_metric_families(text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def terminate(self) -> None:
        """Terminate worker and service."""
        self.worker.terminate()
        self.service.terminate()


@contextmanager
def backend_servers(workspace: Workspace) -> Iterator[RedisServer | None]:
    """Run Prefect's and MLflow's servers, and Redis where the online store needs one, for the block.

    Args:
        workspace: Workspace, which gets the servers' addresses.

    Yields:
        The Redis server, if there is one.
    """
    folder, log = workspace.data / "redis", workspace.logs / "redis.log"
    redis_server = running_redis(folder, log) if workspace.store == "redis" else nullcontext()
    with prefect_server(workspace), mlflow_server(workspace), redis_server as redis:
        if redis is not None:
            workspace.add_variables({"HOLDFAST_REDIS": redis.connection_string})
        yield redis
