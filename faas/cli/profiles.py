"""The config file with its profiles, and which server a command speaks to."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faas.cli.failures import CommandFailed, Exit

DEFAULT_URL = "http://127.0.0.1:8080"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Profile:
    """A server and the key for it."""

    url: str
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command goes. `source` says who decided it: `--url`, `--profile`, `FAAS_URL`, `config` or `default`."""

    url: str
    api_key: str | None = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Profiles:
    """The file's content. `current` is the name of the profile that is used where nothing else is said."""

    current: str | None
    profiles: dict[str, Profile]

    def get(self, name: str) -> Profile:
        """A profile. Raises CommandFailed where there is none of that name."""
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise CommandFailed(
                f"there is no profile {name!r}; known: {known}",
                Exit.NOT_FOUND,
                hint=f"faas profile set {name} --url https://…",
            )
        return self.profiles[name]


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """`FAAS_CONFIG`, else `faas/config.toml` where the system keeps its users' settings (`~/.config`)."""
    named = (os.environ if environ is None else environ).get("FAAS_CONFIG")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_config_path("faas") / "config.toml"


def load(path: Path) -> Profiles:
    """Read the file; nothing in it where there is none.

    Raises:
        CommandFailed: it can't be read or understood.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        profiles = {
            str(name): Profile(str(entry["url"]), entry.get("api_key"))
            for name, entry in content.get("profiles", {}).items()
        }
    except FileNotFoundError:
        return Profiles(None, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandFailed(
            f"{path}: can't be used: {type(error).__name__}: {error}", Exit.USAGE, hint="repair it, or remove it"
        ) from None
    return Profiles(content.get("current"), profiles)


def save(path: Path, content: Profiles) -> None:
    """Write the file, for its owner's eyes only: it holds keys."""
    lines = [f"current = {json.dumps(content.current)}"] if content.current else []
    for name, profile in content.profiles.items():
        # What JSON makes of a string is a string of TOML too.
        lines += ["", f"[profiles.{name}]", f"url = {json.dumps(profile.url)}"]
        lines += [f"api_key = {json.dumps(profile.api_key)}"] if profile.api_key else []
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write("\n".join(lines).lstrip("\n") + "\n")
        Path(file.name).replace(path)
    except OSError as error:
        raise CommandFailed(f"{path}: can't be written: {error.strerror}") from None


def target(
    *, url: str | None, profile: str | None, environ: Mapping[str, str] | None = None, path: Path | None = None
) -> Target:
    """Where a command goes: `--url`, else `--profile`, else `FAAS_URL`, else the config file's current profile, else this machine.

    A profile's key goes to that profile's server alone; `FAAS_API_KEY` to what `--url`, `FAAS_URL` or the default name.

    Raises:
        CommandFailed: the config file can't be used, or has no such profile.
    """
    env = os.environ if environ is None else environ
    key = env.get("FAAS_API_KEY") or None
    if url:
        return Target(checked(url, "--url"), key, "--url")
    if profile is None and env.get("FAAS_URL"):
        return Target(checked(env["FAAS_URL"], "FAAS_URL"), key, "FAAS_URL")
    content = load(path or config_file(env))
    name = profile or content.current
    if name is None:
        return Target(DEFAULT_URL, key, "default")
    found = content.get(name)
    return Target(checked(found.url, f"profile {name}"), found.api_key, "--profile" if profile else "config")


def checked(url: str, source: str) -> str:
    """A server's URL without slashes at its end. Raises CommandFailed, naming where it comes from, for what is none."""
    if not re.match(r"https?://[^/\s]+", url):
        raise CommandFailed(
            f"{source}: {url!r} is no URL of a server", Exit.USAGE, hint="it looks like https://faas.example.com"
        )
    return url.rstrip("/")
