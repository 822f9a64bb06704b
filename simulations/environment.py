"""Running environment of a simulation: the simulated shop, and components that a scenario can kill or replace."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from holdfast.runtime.processes import ManagedProcess
from simulations.redis_server import RedisServer, running_redis
from simulations.servers import mlflow_server, prefect_server, run_command, start_worker
from simulations.simulated_shop import SimulatedShop
from simulations.workspace import Workspace


@dataclass
class Environment:
    """Components of a simulation.

    Attributes:
        redis: Redis server of the online store; None: the store is SQLite.
    """

    workspace: Workspace
    shop: SimulatedShop
    worker: ManagedProcess
    service: ManagedProcess
    redis: RedisServer | None

    def restart_worker(self) -> None:
        """Start a killed worker again, as a process manager does."""
        self.worker.terminate()
        self.worker = start_worker(self.workspace)

    def run_command(self, source: Path, module: str, *options: str) -> None:
        """Run a flow from another source tree in a process, as a person does on another machine.

        Args:
            source: Source tree.
            module: Module of the flow.
            *options: Options on its command line.

        Raises:
            ComponentError: The command failed; contains the end of its log.
        """
        run_command(replace(self.workspace, source=source), module, *options)

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
