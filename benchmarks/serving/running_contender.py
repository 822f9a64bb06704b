"""Contenders that are up, and whether they answer what they should."""

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.contenders import Check, Contender
from benchmarks.serving.fixture import ROOT, Scene
from benchmarks.serving.processes import HOST, Process, Processes, free_port
from holdfast.core.errors import HoldfastError

_STARTS_WITHIN = 30.0


class WrongAnswerError(HoldfastError):
    """A contender does not answer what it should; its numbers would mean nothing."""


class Running:
    """A contender that is up."""

    def __init__(self, contender: Contender, scene: Scene, processes: Processes) -> None:
        self.contender, self.scene = contender, scene
        port = free_port()
        home = {"BENTOML_HOME": str(_bentoml_home(scene, contender.name))}
        environment = scene.environment | contender.environment | home
        self.url = f"http://{HOST}:{port}"
        command = [part.format(port=port) for part in contender.command]
        self.process: Process = processes.start(contender.name, command, environment, ROOT)
        self.seconds_to_ready = self.process.wait_until(f"{self.url}{contender.ready}")

    def check(self) -> None:
        """Ask the questions whose answers are known.

        Raises:
            WrongAnswerError: Not the status, or not the content.
        """
        contender = self.contender
        self.check_at(contender.path, contender.questions, contender.check, len(self.scene.expected))
        self._until(lambda: contender.says in self._metrics(), f"{contender.says!r} in its metrics")
        if len(workers := bentoml_workers(self.process)) not in (0, contender.workers):
            raise WrongAnswerError(f"{contender.name} has {len(workers)} workers instead of {contender.workers}.")

    def check_at(self, path: str, questions: str, check: Check, count: int) -> None:
        """As above, with the first ``count`` questions of another kind."""
        bodies = self.scene.questions(questions).read_text().splitlines()[:count]
        answers = [self._ask(path, body) for body in bodies]
        try:
            check(self.scene, answers)
        except (KeyError, TypeError, IndexError, AssertionError) as error:
            told = f"{self.contender.name} answers wrongly at {path}: {error!r}; {str(answers[0])[:500]}"
            raise WrongAnswerError(told) from error

    def _metrics(self) -> str:
        if not self.contender.says:
            return ""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN
        while not condition():
            if time.monotonic() > deadline:
                raise WrongAnswerError(f"{self.contender.name}: no {what}.\n{self.process.last_lines()}")
            time.sleep(0.2)

    def _ask(self, path: str, body: str) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", body.encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise WrongAnswerError(f"{self.contender.name} answers {error.code}: {error.read()[:500]!r}") from error


def bentoml_workers(process: Process) -> list[psutil.Process]:
    """The workers of `bentoml serve`, without its supervisor; of other servers none."""
    return [item for item in process.tree() if "_bentoml_impl.worker.service" in item.cmdline()]


def _bentoml_home(scene: Scene, name: str) -> Path:
    """A copy for each server: as it starts, it clears the folder of the metrics in it."""
    home = scene.data / f"bentoml-{name}"
    if not home.exists():
        shutil.copytree(scene.data / "bentoml", home)
    return home
