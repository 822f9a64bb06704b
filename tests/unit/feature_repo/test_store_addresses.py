"""Attacks on the network: a store beyond this machine is used with TLS and a password only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import SettingsError
from feature_repo.settings import Settings, apply_environment
from feature_repo.store_addresses import (
    PLAIN_HOSTS,
    UnprotectedStoreError,
    describe_database_protection,
    describe_redis_protection,
    is_this_machine,
)
from holdfast.feast_stores.open_store import open_store
from holdfast.feast_stores.redis_online_store import (
    SingleRoundTripRedisOnlineStore,
    SingleRoundTripRedisOnlineStoreConfig,
)
from holdfast.feast_stores.settings import FEATURE_REPO

VARIABLES = ("PGHOST", "PGPASSWORD", "PGPASSFILE", "PGSSLMODE", PLAIN_HOSTS)
PLAIN = "postgresql://user:secret@db.example/name"
TYPE = "holdfast.feast_stores.redis_online_store.SingleRoundTripRedisOnlineStore"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def open_redis(address: str) -> None:
    """Open the client of the online store, as flows, service and Feast's commands do."""
    config = SingleRoundTripRedisOnlineStoreConfig(type=TYPE, connection_string=address)  # type: ignore[arg-type]
    SingleRoundTripRedisOnlineStore()._get_client(config)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:////data/mlflow.db",
        "https://mlflow.example",
        "databricks",
        "s3://bucket/registry.db",
        "postgresql:///name",
        "postgresql://user@localhost/name",
        "postgresql+psycopg://user@127.0.0.2:5432/name",
        "postgresql://user@[::1]/name",
        "postgresql:///name?host=/var/run/postgresql",
        "postgresql://user@%2Fvar%2Frun/name",
        f"{PLAIN}?sslmode=require",
        f"{PLAIN}?sslmode=verify-full&sslrootcert=/ca.pem",
        "postgresql+asyncpg://user:se%40cr%2Fet@db.example/name?ssl=verify-full",
        "postgresql://user@db.example/name?sslmode=verify-full&sslcert=/a.pem",
        "mysql+pymysql://user:secret@db.example/name?ssl_ca=/ca.pem",
    ],
)
def test_database_on_this_machine_or_with_protection_is_accepted(url: str) -> None:
    assert describe_database_protection(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        PLAIN,
        "postgresql://user@db.example/name?sslmode=verify-full",  # no password
        f"{PLAIN}?sslmode=prefer",  # continues without TLS where an attacker refuses it
        f"{PLAIN}?sslmode=disable",
        f"{PLAIN}?sslmode=require&sslmode=disable",
        f"{PLAIN}?ssl=false",
        "postgresql://user:secret@localhost,db.example/name",  # the second host, if the first one does not respond
        "postgresql://user:secret@localhost/name?host=db.example",  # the option replaces the host
        "postgresql://user:secret@localhost/name?hostaddr=192.0.2.1",
        "postgresql://user:secret@127.0.0.1.example/name",
        "postgresql://user:secret@localhost@db.example/name",
        "postgresql://user:secret@0.0.0.0/name",
        "mysql://user:secret@db.example/name",
        "unknown://user:secret@db.example/name",
    ],
)
def test_database_without_protection_is_refused(url: str) -> None:
    problem = describe_database_protection(url)
    assert problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    ("address", "is_accepted"),
    [
        ("localhost:6379", True),
        ("127.0.0.1:6379,db=7", True),
        ("redis.example:6379", False),
        ("redis.example:6379,password=secret", False),
        ("redis.example:6379,ssl=true", False),
        ("redis.example:6379,ssl=true,password=", False),
        ("redis.example:6379,ssl=false,password=secret", False),
        ("redis.example:6379,ssl=true,ssl=false,password=secret", False),  # the last option counts
        ("redis.example:6379,ssl=true,ssl_cert_reqs=none,password=secret", False),  # any certificate
        ("localhost:6379,redis.example:6379", False),
        ("redis.example:6379,ssl=true,password=secret", True),
        ("redis.example:6379,password=secret,ssl=true,username=shop", True),
        ("redis.example:6379,ssl=true,ssl_certfile=/a.pem,ssl_keyfile=/a.key", True),
    ],
)
def test_redis_beyond_this_machine_needs_tls_and_password(address: str, is_accepted: bool) -> None:
    problem = describe_redis_protection(address)
    assert (problem == "") is is_accepted
    assert "secret" not in problem
    if is_accepted:
        open_redis(address)
    else:
        with pytest.raises(UnprotectedStoreError, match="HOLDFAST_REDIS is refused"):
            open_redis(address)


def read_tracking(data: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("MLFLOW_TRACKING_URI", PLAIN)
    Settings.from_environment()


def read_registry(data: Path, patch: pytest.MonkeyPatch) -> None:
    file = data.parent / "feature_store.sql.yaml"
    text = (FEATURE_REPO / "feature_store.yaml").read_text()
    head, tail = text[: text.index("  registry_store_type")], text[text.index("  cache_ttl") :]
    file.write_text(f"{head}  registry_type: sql\n  path: {PLAIN}\n{tail}")
    patch.setenv("FEAST_FS_YAML_FILE_PATH", str(file))
    open_store()


def start_prefect(data: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", PLAIN)
    apply_environment()


@pytest.mark.parametrize("read", [read_tracking, read_registry, start_prefect])
def test_every_reader_refuses_an_unprotected_database(
    read: Callable[..., None], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"TLS \(\?sslmode=verify-full\).*add db\.example to HOLDFAST_PLAIN_HOSTS"):
        read(data_dir, monkeypatch)


def test_plain_hosts_admits_the_named_hosts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLAIN_HOSTS, "redis, DB.example")
    assert describe_database_protection(PLAIN) == describe_redis_protection("redis:6379") == ""
    assert describe_redis_protection("redis.example:6379") != ""
    assert describe_database_protection("postgresql://user@db.example,other.example/name") != ""


@given(st.ip_addresses())
def test_is_this_machine_is_loopback_only(address: Any) -> None:
    assert is_this_machine(str(address)) is address.is_loopback


@given(st.from_regex(r"[a-z0-9.-]{1,20}\.[a-z]{2,5}", fullmatch=True))
def test_name_with_a_domain_is_another_machine(name: str) -> None:
    assert describe_redis_protection(f"{name}:6379") != ""
    assert describe_database_protection(f"postgresql://user:secret@{name}/name") != ""
