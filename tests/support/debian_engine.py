"""Container engine for a Debian machine without Docker: all state in one folder, nothing pulled from a registry."""

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from holdfast.container_image.engine import ContainerEngine

_PACKAGES = {"podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap"}  # command: package
# Packages of the base image; as in official Python images: pip and the venv module.
_BASE_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{state}/tmp"
"""
_STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{state}/storage"
runroot = "{state}/run"
"""


def installation_problem() -> str | None:
    """Describe why no engine can be installed on this machine; None if one can."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    if release.get("ID") != "debian":
        return "no Docker daemon is running, and an engine can be installed on a Debian machine only"
    if os.geteuid() != 0:
        return "no Docker daemon is running, and the installation of an engine requires root"
    if shutil.which("apt-get") is None:
        return "no Docker daemon is running, and apt-get, which installs an engine, is missing"
    return None


def install_podman(state: Path) -> ContainerEngine:
    """Install podman with images, containers and settings in ``state``; those of the user are not changed."""
    _install()
    (state / "containers.conf").write_text(_CONTAINERS_CONF.format(state=state))
    (state / "storage.conf").write_text(_STORAGE_CONF.format(state=state))
    settings = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_STORAGE_CONF": "storage.conf"}
    engine = ContainerEngine("podman", {name: str(state / file) for name, file in settings.items()})
    engine.run("rm", "--all", "--force")  # containers of a killed run
    engine.run("volume", "prune", "--force")
    engine.run("image", "prune", "--force", "--filter", "until=168h")  # layers older than a week
    return engine


def build_base_image(engine: ContainerEngine) -> str:
    """Build a base image for tests: Debian's Python on a minimal Debian of this machine's release."""
    sources = _apt(
        "indextargets",
        "--format",
        "deb $(SITE) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
        "Identifier: Packages",
    )
    lines = "\n".join(sorted(set(sources.splitlines())))
    recipe = hashlib.sha256(f"{_BASE_PACKAGES}\n{lines}".encode()).hexdigest()[:12]
    name = f"localhost/holdfast-test-base:{recipe}"
    if name not in engine.run("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        _bootstrap(engine, lines, name)
    return name


def _bootstrap(engine: ContainerEngine, sources: str, name: str) -> None:
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_BASE_PACKAGES}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale", "info")]
    command += ["--customize-hook=rm -f $1/etc/apt/sources.list $1/etc/hostname $1/etc/resolv.conf"]
    with subprocess.Popen(
        [*command, suite, "-", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False
    ) as bootstrap:
        assert bootstrap.stdin is not None and bootstrap.stdout is not None
        bootstrap.stdin.write(sources.encode())
        bootstrap.stdin.close()
        subprocess.run(
            [engine.name, "import", "--quiet", "-", name],
            env=os.environ | dict(engine.environment),
            stdin=bootstrap.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=600,
        )
    if bootstrap.returncode != 0:
        engine.run("rmi", "--force", name)
        raise RuntimeError(f"mmdebstrap ended with status {bootstrap.returncode}")


def _install() -> None:
    packages = [package for command, package in _PACKAGES.items() if shutil.which(command) is None]
    if packages:
        _apt("update", "-qq")
        _apt("install", "-qq", "--yes", "--no-install-recommends", *packages)


def _apt(*arguments: str) -> str:
    done = subprocess.run(
        ["apt-get", *arguments],
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode != 0:
        raise RuntimeError(f"apt-get {arguments[0]} ended with status {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
