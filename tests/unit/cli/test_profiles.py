"""Which server a command speaks to, and with which key."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas.cli import profiles
from faas.cli.failures import CommandFailed, Exit
from faas.cli.profiles import Profile, Profiles, Target


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "faas" / "config.toml"
    profiles.save(path, Profiles("home", {"home": Profile("http://home"), "work": Profile("https://work/", "secret")}))
    return path


def target(file: Path, environ: dict[str, str], **options: str | None) -> Target:
    return profiles.target(**{"url": None, "profile": None, **options}, environ=environ, path=file)


def test_what_is_saved_is_what_is_loaded(file: Path) -> None:
    odd = Profiles("a", {"a": Profile('http://x/"\\é', "k\n\t")})
    profiles.save(file, odd)
    assert profiles.load(file) == odd


def test_only_its_owner_reads_it(file: Path) -> None:
    assert file.stat().st_mode & 0o077 == 0


def test_a_key_is_not_in_a_representation() -> None:
    assert "secret" not in repr(Profile("https://work", "secret"))


ENVIRON = {"FAAS_URL": "http://named", "FAAS_API_KEY": "key"}


@pytest.mark.parametrize(
    ("environ", "options", "expected"),
    [
        (ENVIRON, {"url": "http://given/"}, Target("http://given", "key", "--url")),
        (ENVIRON, {"profile": "work"}, Target("https://work", "secret", "--profile")),
        (ENVIRON, {}, Target("http://named", "key", "FAAS_URL")),
        ({"FAAS_API_KEY": "key"}, {}, Target("http://home", None, "config")),
    ],
)
def test_the_nearest_word_wins_and_no_key_goes_to_another_server(file, environ, options, expected) -> None:
    assert target(file, environ, **options) == expected


def test_without_anything_it_is_this_machine(tmp_path: Path) -> None:
    assert target(tmp_path / "none.toml", {}) == Target("http://127.0.0.1:8080", None, "default")


def test_a_profile_that_is_not_there_is_told_with_those_that_are(file: Path) -> None:
    with pytest.raises(CommandFailed, match="known: home, work") as caught:
        target(file, {}, profile="wrok")
    assert caught.value.status == Exit.NOT_FOUND


@pytest.mark.parametrize("content", ["nonsense", "[profiles.a]\n", "profiles = 3", '[profiles]\na = "x"'])
def test_a_file_that_can_not_be_used_is_named(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(CommandFailed, match=r"config\.toml: can't be used"):
        profiles.load(file)


def test_text_that_is_no_url_is_refused(file: Path) -> None:
    with pytest.raises(CommandFailed, match="FAAS_URL: 'localhost:8080' is no URL"):
        target(file, {"FAAS_URL": "localhost:8080"})


def test_the_file_is_where_it_is_said_to_be() -> None:
    assert profiles.config_file({"FAAS_CONFIG": "/x/y.toml"}) == Path("/x/y.toml")
    assert profiles.config_file({}).parts[-2:] == ("faas", "config.toml")
