"""The exchange folder, on the real file system."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faas.errors import SandboxError
from faas.sandbox import exchange as exchanges
from faas.sandbox.engine import Owner
from faas.sandbox.exchange import Exchange


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    made = Exchange(tmp_path, Owner("worker"), "a-sandbox")
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    for name, mode in (("main.py", 0o444), ("sub/tool", 0o555)):
        (folder / name).write_text(name)
        (folder / name).chmod(mode)
    return folder


@contextlib.contextmanager
def connected(exchange: Exchange) -> Iterator[socket.socket]:
    before = Path.cwd()
    with socket.socket(socket.AF_UNIX) as agent:
        os.chdir(exchange.path)
        try:
            agent.connect("agent.sock")
        finally:
            os.chdir(before)
        yield agent


def test_the_first_connection_wins_and_no_other_can_be_made(exchange: Exchange) -> None:
    with connected(exchange) as agent, connected(exchange) as late, exchange.accept(10, lambda: True) as connection:
        agent.sendall(b"first")
        assert connection.recv(10) == b"first"
        with contextlib.suppress(ConnectionResetError):
            assert late.recv(1) == b""
        with pytest.raises(FileNotFoundError), connected(exchange):
            pass
        with pytest.raises(SandboxError):
            exchange.accept(10, lambda: True)


def test_a_work_folder_of_any_length_will_do(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    made = Exchange(deep, Owner("worker"), "a-sandbox")
    with connected(made), made.accept(10, lambda: True):
        pass
    made.close()


@pytest.mark.parametrize(("alive", "words"), [(True, "within 0.1 s"), (False, "died")])
def test_an_agent_that_does_not_come_is_not_waited_for(exchange: Exchange, alive: bool, words: str) -> None:
    with pytest.raises(SandboxError, match=words):
        exchange.accept(0.1, lambda: alive)


def test_a_stream_has_no_end_while_its_writers_come_and_go(exchange: Exchange) -> None:
    for _ in range(2):
        with (exchange.path / "stdout").open("w") as writer:
            writer.write("printed")
        assert os.read(exchange.streams["stdout"], 100) == b"printed"
        with pytest.raises(BlockingIOError):
            os.read(exchange.streams["stdout"], 100)


def test_code_is_linked(exchange: Exchange, source: Path) -> None:
    exchange.fill(source)
    assert (exchange.code / "main.py").stat().st_ino == (source / "main.py").stat().st_ino
    assert (exchange.code / "sub").stat().st_mode & 0o777 == 0o755
    exchange.close()
    assert (source / "sub" / "tool").read_text() == "sub/tool"


def test_code_is_copied_where_functions_could_write_through_a_link(tmp_path: Path, source: Path) -> None:
    made = Exchange(tmp_path, Owner("worker"), "another", copy=True)
    made.fill(source)
    assert (made.code / "main.py").stat().st_ino != (source / "main.py").stat().st_ino
    assert (made.code / "main.py").stat().st_mode & 0o777 == 0o444
    assert (made.code / "sub" / "tool").stat().st_mode & 0o777 == 0o555
    made.close()
    assert not made.path.exists()


def test_code_that_is_not_there_is_an_error_of_the_platform(exchange: Exchange, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="code"):
        exchange.fill(tmp_path / "nowhere")


def test_owners_are_listed_and_removed_whole(tmp_path: Path) -> None:
    assert exchanges.owners(tmp_path) == set()
    made = [Exchange(tmp_path, Owner(worker), f"{worker}-{n}") for worker in ("one", "two") for n in range(2)]
    assert exchanges.owners(tmp_path) == {"one", "two"}
    assert exchanges.remove_owner(tmp_path, "one") == 2
    assert exchanges.remove_owner(tmp_path, "one") == 0
    assert exchanges.owners(tmp_path) == {"two"}
    for one in made:
        one.close()
    assert exchanges.owners(tmp_path) == set()


def test_sandboxes_of_one_owner_begin_and_end_side_by_side(tmp_path: Path) -> None:
    def live(number: int) -> None:
        for n in range(50):
            Exchange(tmp_path, Owner("worker"), f"{number}-{n}").close()

    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(live, range(4)))) == 4


@pytest.mark.parametrize("worker", ["", ".", "..", "a/b", "/etc", "a\0"])
def test_a_worker_s_name_never_leads_out_of_the_folder(tmp_path: Path, worker: str) -> None:
    with pytest.raises(SandboxError):
        exchanges.remove_owner(tmp_path, worker)


def test_a_tree_goes_whatever_its_modes_and_links_are_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "link").symlink_to(kept)
    (tree / "a" / "b" / "file").write_text("x")
    for folder in (tree / "a" / "b", tree / "a", tree):
        folder.chmod(0)
    exchanges.remove_tree(tree)
    assert not tree.exists()
    assert (kept / "file").read_text() == "kept"
