"""The environment, read once: defaults, precedence, and a line that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas import config
from faas.errors import ConfigError


def test_an_empty_environment_gives_the_seeds_defaults():
    settings = config.load({})
    assert settings.database_url == "postgresql://postgres:postgres@localhost:5432/faas?sslmode=disable"
    assert settings.redis_url == "redis://localhost:6379/0"
    assert (settings.server_host, settings.server_port) == ("127.0.0.1", 8080)
    assert (settings.storage_type, settings.storage_base_dir) == ("local", Path("./storage/functions").absolute())
    assert settings.worker_engine == "container"
    assert settings.worker_id


def test_the_parts_make_the_urls_with_their_special_characters_quoted():
    settings = config.load(
        {
            "DB_HOST": "db",
            "DB_PORT": "6543",
            "DB_USER": "a@b",
            "DB_PASSWORD": "p/w:?",
            "DB_NAME": "n",
            "DB_SSLMODE": "require",
            "REDIS_ADDR": "cache:7000",
            "REDIS_PASSWORD": "x@y",
            "REDIS_DB": "3",
        }
    )
    assert settings.database_url == "postgresql://a%40b:p%2Fw%3A%3F@db:6543/n?sslmode=require"
    assert settings.redis_url == "redis://:x%40y@cache:7000/3"


def test_a_folder_as_the_databases_host_is_a_socket():
    assert "@/faas?host=%2Frun%2Fpg&port=5432" in config.load({"DB_HOST": "/run/pg"}).database_url


def test_urls_and_port_win_over_the_parts():
    settings = config.load(
        {
            "DATABASE_URL": "postgres://u:p@h/d",
            "DB_HOST": "other",
            "REDIS_URL": "rediss://r:1/2",
            "REDIS_ADDR": "other:1",
            "PORT": "5000",
            "SERVER_ADDR": "0.0.0.0:80",
        }
    )
    assert settings.database_url == "postgresql://u:p@h/d"
    assert settings.redis_url == "rediss://r:1/2"
    assert (settings.server_host, settings.server_port) == ("0.0.0.0", 5000)


@pytest.mark.parametrize(
    ("variables", "engine"),
    [
        ({"WORKER_USE_CONTAINER": "false"}, "simple"),
        ({"WORKER_USE_CONTAINER": "true"}, "container"),
        ({"WORKER_RUNTIME_TYPE": "simple"}, "simple"),
        ({"WORKER_RUNTIME_TYPE": "simple", "WORKER_USE_CONTAINER": "0"}, "simple"),
    ],
)
def test_two_variables_choose_the_engine(variables, engine):
    assert config.load(variables).worker_engine == engine


def test_the_process_environment_is_read_where_none_is_given(monkeypatch):
    monkeypatch.setenv("PORT", "4321")
    assert config.load().server_port == 4321


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVER_ADDR", "nowhere"), ("SERVER_ADDR", ":0"), ("SERVER_ADDR", "h:99999"), ("PORT", "x"), ("PORT", "0"), ("PORT", "-1"), ("PORT", "1.5"),
        ("DB_PORT", "many"), ("DB_SSLMODE", "maybe"), ("DB_HOST", "a\nb"), ("DATABASE_URL", "mysql://h/d"), ("DATABASE_URL", "postgresql://h:port/d"),
        ("REDIS_ADDR", "cache"), ("REDIS_DB", "-1"), ("REDIS_URL", "http://h"), ("REDIS_URL", "redis://h:port"),
        ("STORAGE_TYPE", "tape"), ("WORKER_ID", "-x"), ("WORKER_ID", "a b"), ("WORKER_USE_CONTAINER", "perhaps"), ("WORKER_RUNTIME_TYPE", "vm"),
        ("WORKER_CONCURRENCY", "0"), ("WORKER_LEASE", "0.5"), ("WORKER_LEASE", "nan"), ("WORKER_GRACE", "-1"), ("WORKER_STEM_CELLS", "65"),
        ("WORKER_KEEP_ALIVE", "1e3"), ("WORKER_MEMORY_MB", "1"), ("PLATFORM_RETRIES", "1000"), ("LOG_LEVEL", "LOUD"), ("WORKER_DISPATCH", "slow"),
        ("WORKER_OCI_RUNTIME", "a b"), ("WORKER_EGRESS_DNS", "10.0.0.2"), ("WORKER_EGRESS_DNS", "1.1.1.1,a.b"), ("WORKER_EGRESS_DNS", "224.0.0.1"),
    ],
)  # fmt: skip
def test_a_value_that_cant_be_right_is_one_line_that_names_its_variable(name, value):
    with pytest.raises(ConfigError) as caught:
        config.load({name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


def test_contradictions_name_a_variable_too():
    with pytest.raises(ConfigError, match=r"^WORKER_USE_CONTAINER: "):
        config.load({"WORKER_USE_CONTAINER": "true", "WORKER_RUNTIME_TYPE": "simple"})
    with pytest.raises(ConfigError, match=r"^STORAGE_S3_BUCKET: "):
        config.load({"STORAGE_TYPE": "s3"})
