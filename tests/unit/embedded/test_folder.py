from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from faas.embedded.folder import DataFolder, Lock
from faas.errors import PlatformError


def test_a_folder_is_made_with_all_that_it_holds(tmp_path):
    folder = DataFolder(tmp_path / "deep" / "data")
    folder.make()
    assert folder.storage.is_dir()
    assert folder.work.is_dir()
    assert folder.log("worker").parent.is_dir()


def test_only_one_lock_at_a_time(tmp_path):
    folder = DataFolder(tmp_path)
    folder.make()
    with Lock(folder), pytest.raises(PlatformError, match=r"in use by another process \(\d+\)"):
        Lock(folder)
    with Lock(folder):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    script = f"""
import time
from pathlib import Path
from faas.embedded.folder import DataFolder, Lock
lock = Lock(DataFolder(Path({str(tmp_path)!r})))
print("held", flush=True)
time.sleep(600)
"""
    folder = DataFolder(tmp_path)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(PlatformError, match=str(holder.pid)):
            Lock(folder)
        holder.kill()
    with Lock(folder):
        pass


def test_a_place_that_is_no_folder_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PlatformError, match="can't be used"):
        DataFolder(tmp_path / "file" / "data").make()


def test_big_logs_are_put_aside(tmp_path):
    folder = DataFolder(tmp_path)
    folder.make()
    with folder.log("worker").open("wb") as log:
        log.truncate(11 << 20)
    folder.log("clock").write_text("small")
    folder.make()
    assert not folder.log("worker").exists()
    assert (tmp_path / "logs" / "worker.log.1").stat().st_size == 11 << 20
    assert folder.log("clock").read_text() == "small"


def test_names_differ_by_folder_and_stay():
    one, other = DataFolder(Path("/a")), DataFolder(Path("/b"))
    assert one.name != other.name
    assert one.name == DataFolder(Path("/a")).name
