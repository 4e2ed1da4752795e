"""The environment, read once, as one frozen `Settings`. Nothing else in the platform reads the environment, but the composition roots that call `load`.

The seed's variables keep their names and defaults (API.md, "Configuration"); `DATABASE_URL`, `REDIS_URL` and `PORT`, where set, win over the parts.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from faas.errors import ConfigError

_WORKER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Durations are in seconds, sizes in the unit that the name ends with.

    Attributes:
        database_url: `postgresql://…`, for psycopg2.
        redis_url: `redis://…` or `rediss://…`; the broker and the wake-up channel.
        server_patience: the head of a request has to be there after so long, and a body has to come at 4 KiB/s on the average after it.
        server_invoke: `fast` answers the usual `POST /invoke` ahead of Flask; `flask` leaves every request to it.
        server_host, server_port: where the controller binds; loopback where `SERVER_ADDR` gives no host.
        allow_anonymous: calls without a key are taken on any address while no key was made; on a loopback address they are anyway.
        trusted_proxies: how many proxies in front of the controller add to X-Forwarded-For; 0 takes that header from nobody.
        storage_type: `local` or `s3`.
        worker_id: the name a worker goes by; each start adds an incarnation of its own to it.
        worker_engine: `container` or `simple`.
        worker_oci_runtime: what Docker runs containers with, for instance `runsc`; its own default where empty.
        worker_egress_dns: the DNS servers of sandboxes with network egress, public IPv4 addresses.
        worker_dispatch: `fast` claims in batches; `stock` leaves each message to Celery's own way.
        worker_concurrency: invocations that one worker runs at once.
        worker_lease: a worker that has not beaten for this long is lost.
        worker_grace: how long running invocations may finish after SIGTERM.
        worker_stem_cells: generic sandboxes kept ready for each runtime.
        worker_keep_alive: an idle sandbox leaves after this long, while its function's rhythm is not known.
        worker_keep_alive_longest: the most that is learned from a rhythm; 0 learns nothing.
        worker_freeze_after: an idle sandbox is frozen after this long; 0 for never.
        worker_memory_mb: the memory of all sandboxes of a worker together.
        platform_retries: how often a `Platform.*` failure is tried again.
        queue_limit: as many invocations may be queued; 0 for any number.
        secrets_keys: what secrets are encrypted with, the first; the others decrypt too. None where no secrets are kept.
        metrics_interval: every process tells what it has counted so often.
        retention_days: invocations that have ended go so long after they were accepted; 0 for never.
        tracing: requests and attempts are traced, and sent to where OpenTelemetry's own variables say.
        metrics_functions: so many functions have series of their own in `/metrics`; the others are counted together.
    """

    database_url: str
    redis_url: str
    server_host: str
    server_port: int
    allow_anonymous: bool
    trusted_proxies: int
    storage_type: str
    storage_base_dir: Path
    storage_s3_bucket: str
    storage_s3_prefix: str
    storage_s3_endpoint_url: str | None
    worker_id: str
    worker_work_dir: Path
    worker_engine: str
    worker_oci_runtime: str
    worker_egress_dns: tuple[str, ...]
    worker_dispatch: str
    worker_concurrency: int
    worker_lease: float
    worker_grace: float
    worker_stem_cells: int
    worker_keep_alive: float
    worker_keep_alive_longest: float
    worker_freeze_after: float
    worker_memory_mb: int
    platform_retries: int
    queue_limit: int
    retention_days: int
    metrics_interval: float
    metrics_functions: int
    tracing: bool
    server_patience: float
    server_invoke: str
    log_level: str
    secrets_keys: tuple[str, ...] = field(default=(), repr=False)

    @property
    def may_be_open(self) -> bool:
        """Whether calls without a key may be taken for as long as no key was made."""
        return self.allow_anonymous or is_loopback(self.server_host)


def is_loopback(host: str) -> bool:
    """Whether an address to bind to is reached from this machine alone. A name other than `localhost` may be anybody's."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Args:
        environ: variables; the process's own where left out.

    Raises:
        ConfigError: a value that can't be right; one line that names the variable.
    """
    env = _Reader(os.environ if environ is None else environ)
    host, port = env.address("SERVER_ADDR", ":8080")
    storage_type = env.choice("STORAGE_TYPE", "local", ("local", "s3"))
    bucket = env.text("STORAGE_S3_BUCKET", "")
    if storage_type == "s3" and not bucket:
        raise ConfigError("STORAGE_S3_BUCKET: must be set when STORAGE_TYPE is s3")
    return Settings(
        database_url=_database_url(env),
        redis_url=_redis_url(env),
        server_host=host or "127.0.0.1",
        server_port=env.integer("PORT", port, 1, 65535),
        allow_anonymous=bool(env.boolean("FAAS_ALLOW_ANONYMOUS")),
        trusted_proxies=env.integer("FAAS_TRUSTED_PROXIES", 0, 0, 10),
        storage_type=storage_type,
        storage_base_dir=env.path("STORAGE_BASE_DIR", "./storage/functions"),
        storage_s3_bucket=bucket,
        storage_s3_prefix=env.text("STORAGE_S3_PREFIX", ""),
        storage_s3_endpoint_url=env.text("STORAGE_S3_ENDPOINT_URL", "") or None,
        worker_id=env.worker_id(),
        worker_work_dir=env.path("WORKER_WORK_DIR", "./storage/work"),
        worker_engine=_engine(env),
        worker_oci_runtime=env.name("WORKER_OCI_RUNTIME"),
        worker_egress_dns=env.public_addresses("WORKER_EGRESS_DNS", "1.1.1.1,9.9.9.9"),
        worker_dispatch=env.choice("WORKER_DISPATCH", "fast", ("fast", "stock")),
        worker_concurrency=env.integer("WORKER_CONCURRENCY", 32, 1, 1024),
        worker_lease=env.number("WORKER_LEASE", 10.0, 1.0, 3600.0),
        worker_grace=env.number("WORKER_GRACE", 20.0, 0.0, 900.0),
        worker_stem_cells=env.integer("WORKER_STEM_CELLS", 1, 0, 64),
        worker_keep_alive=env.number("WORKER_KEEP_ALIVE", 300.0, 0.0, 86400.0),
        worker_freeze_after=env.number("WORKER_FREEZE_AFTER", 10.0, 0.0, 86400.0),
        worker_keep_alive_longest=env.number("WORKER_KEEP_ALIVE_LONGEST", 3600.0, 0.0, 604800.0),
        worker_memory_mb=env.integer("WORKER_MEMORY_MB", _default_memory_mb(), 64, 1 << 24),
        platform_retries=env.integer("PLATFORM_RETRIES", 3, 0, 100),
        queue_limit=env.integer("QUEUE_LIMIT", 1_000_000, 0, 1_000_000_000),
        retention_days=env.integer("RETENTION_DAYS", 0, 0, 36500),
        metrics_interval=env.number("METRICS_INTERVAL", 5.0, 0.1, 300.0),
        metrics_functions=env.integer("METRICS_FUNCTIONS", 100, 0, 10_000),
        tracing=_tracing(env),
        server_patience=env.number("SERVER_PATIENCE", 20.0, 1.0, 3600.0),
        server_invoke=env.choice("SERVER_INVOKE", "fast", ("fast", "flask")),
        log_level=env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
        secrets_keys=env.keys("FAAS_SECRETS_KEY"),
    )


def _default_memory_mb() -> int:
    """Three quarters of the machine's memory."""
    return max(64, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4 // (1 << 20))


def _database_url(env: _Reader) -> str:
    url = env.text("DATABASE_URL", "")
    if url:
        # Heroku still gives the short scheme, which SQLAlchemy refuses.
        url = re.sub(r"^postgres(ql)?(\+psycopg2)?://", "postgresql://", url)
        if not url.startswith("postgresql://"):
            raise ConfigError("DATABASE_URL: must begin with postgresql://")
        return env.url("DATABASE_URL", url)
    host, port = env.text("DB_HOST", "localhost"), env.integer("DB_PORT", 5432, 1, 65535)
    mode = env.choice("DB_SSLMODE", "disable", _SSL_MODES)
    user, password = (
        quote(env.text("DB_USER", "postgres"), safe=""),
        quote(env.text("DB_PASSWORD", "postgres"), safe=""),
    )
    name = quote(env.text("DB_NAME", "faas"), safe="")
    if host.startswith("/"):
        return f"postgresql://{user}:{password}@/{name}?host={quote(host, safe='')}&port={port}&sslmode={mode}"
    return f"postgresql://{user}:{password}@{host}:{port}/{name}?sslmode={mode}"


def _redis_url(env: _Reader) -> str:
    url = env.text("REDIS_URL", "")
    if url:
        if not url.startswith(("redis://", "rediss://")):
            raise ConfigError("REDIS_URL: must begin with redis:// or rediss://")
        return env.url("REDIS_URL", url)
    host, port = env.address("REDIS_ADDR", "localhost:6379")
    password = env.text("REDIS_PASSWORD", "")
    login = f":{quote(password, safe='')}@" if password else ""
    return f"redis://{login}{host or 'localhost'}:{port}/{env.integer('REDIS_DB', 0, 0, 1023)}"


def _tracing(env: _Reader) -> bool:
    """On where somebody names a receiver, as everything with OpenTelemetry in it is; `FAAS_TRACING` has the last word."""
    said = env.boolean("FAAS_TRACING")
    if said is not None:
        return said
    if env.boolean("OTEL_SDK_DISABLED"):
        return False
    return bool(env.text("OTEL_EXPORTER_OTLP_ENDPOINT", "") or env.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""))


def _engine(env: _Reader) -> str:
    """`WORKER_RUNTIME_TYPE`; `WORKER_USE_CONTAINER=false` means `simple`, and the two must agree where both are set."""
    use = env.boolean("WORKER_USE_CONTAINER")
    kind = env.choice("WORKER_RUNTIME_TYPE", "container" if use is not False else "simple", ("container", "simple"))
    if use is not None and use != (kind == "container"):
        raise ConfigError(f"WORKER_USE_CONTAINER: contradicts WORKER_RUNTIME_TYPE={kind}")
    return kind


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        value = self._environ.get(name, "")
        if "\0" in value or "\n" in value:
            raise ConfigError(f"{name}: must be one line of text")
        return value or default

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        for one in allowed:
            if value.lower() == one.lower():
                return one
        raise ConfigError(f"{name}: must be one of {', '.join(allowed)}")

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ConfigError(f"{name}: must be a whole number from {least} to {most}")
        return int(text)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        text = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not least <= float(text) <= most:
            raise ConfigError(f"{name}: must be a number of seconds from {least:g} to {most:g}")
        return float(text)

    def boolean(self, name: str) -> bool | None:
        value = self.text(name, "").lower()
        if value not in ("", "true", "false", "1", "0", "yes", "no", "t", "f"):
            raise ConfigError(f"{name}: must be true or false")
        return None if not value else value in ("true", "1", "yes", "t")

    def path(self, name: str, default: str) -> Path:
        return Path(self.text(name, default)).expanduser().absolute()

    def address(self, name: str, default: str) -> tuple[str, int]:
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):([0-9]{1,5})", self.text(name, default))
        if not match or not 1 <= int(match[2]) <= 65535:
            raise ConfigError(f"{name}: must be host:port or :port")
        return match[1], int(match[2])

    def url(self, name: str, url: str) -> str:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            raise ConfigError(f"{name}: is not a URL") from None
        return url

    def name(self, name: str) -> str:
        value = self.text(name, "")
        if not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,127})?", value):
            raise ConfigError(f"{name}: must be letters, digits, '_', '.' and '-', at most 128")
        return value

    def public_addresses(self, name: str, default: str) -> tuple[str, ...]:
        addresses = tuple(part.strip() for part in self.text(name, default).split(","))
        try:
            parsed = [ipaddress.IPv4Address(address) for address in addresses]
        except ValueError:
            parsed = []
        public = bool(parsed) and all(one.is_global and not one.is_multicast for one in parsed)
        # resolv.conf holds three.
        if not public or len(addresses) > 3:
            raise ConfigError(f"{name}: must be one to three public IPv4 addresses, with commas between")
        return addresses

    def keys(self, name: str) -> tuple[str, ...]:
        keys = tuple(part.strip() for part in self.text(name, "").split(",") if part.strip())
        # 32 bytes in base64, either alphabet. The value is never in the message.
        if not all(re.fullmatch(r"[A-Za-z0-9_+/-]{43}=", key) for key in keys):
            raise ConfigError(f"{name}: must be keys that `faas secrets keygen` makes, with commas between")
        return keys

    def worker_id(self) -> str:
        value = self.text("WORKER_ID", "") or re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:128] or "worker"
        if not _WORKER_ID.fullmatch(value):
            raise ConfigError("WORKER_ID: must be letters, digits, '_', '.', '@' and '-', at most 128")
        return value
