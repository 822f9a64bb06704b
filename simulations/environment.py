"""A simulation under way: the shop, and the parts that a scenario may kill, restart or replace."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from holdfast.runtime.processes import ManagedProcess
from simulations.redis_server import Redis, redis_server
from simulations.servers import deploy, mlflow_server, prefect_server, start_service, start_worker
from simulations.simulated_shop import Shop
from simulations.workspace import Place


@dataclass
class Running:
    """``worker`` and ``service`` are started again by whoever kills them: that is what a process manager does."""

    place: Place
    shop: Shop
    port: int
    worker: ManagedProcess
    service: ManagedProcess
    redis: Redis | None
    service_variables: Mapping[str, str]

    def restart_worker(self) -> None:
        """As the process manager does when it has died."""
        self.worker.terminate()
        self.worker = start_worker(self.place)

    def goes_live(self, source: Path) -> None:
        """Worker and service run the code in ``source`` from now on; nobody runs any other flow for it."""
        changed = replace(self.place, source=source, variables=self.place.variables | {"HOLDFAST_PROJECT": str(source)})
        self.worker.terminate()
        self.service.terminate()
        deploy(changed)
        self.shop.api.stop_schedules()
        self.worker = start_worker(changed)
        self.service = start_service(changed, self.port, self.service_variables)

    def metric(self, name: str) -> float:
        """The sum of all series of one metric of the service."""
        text = httpx.get(f"{self.shop.callers.url}/metrics", timeout=10, trust_env=False).text
        lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def end(self) -> None:
        """End what was started last."""
        self.worker.terminate()
        self.service.terminate()


@contextmanager
def servers(place: Place) -> Iterator[Redis | None]:
    """Prefect's server, MLflow's, and Redis where the store is one; this process is told of them."""
    with prefect_server(place), mlflow_server(place):
        if place.store == "redis":
            with redis_server(place) as redis:
                place.tell_this_process()
                yield redis
        else:
            place.tell_this_process()
            yield None
