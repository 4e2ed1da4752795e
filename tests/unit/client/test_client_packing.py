from __future__ import annotations

import base64
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from faas.client import calls
from faas.client.packing import pack
from faas.storage import archive


def test_a_folder_is_packed_as_the_platform_takes_it(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "lib" / "__pycache__").mkdir(parents=True)
    (code / "main.py").write_text("x")
    (code / "lib" / "a.py").write_text("y")
    (code / "lib" / "__pycache__" / "a.pyc").write_text("z")
    (code / "run").write_text("#!")
    (code / "run").chmod(0o755)
    (code / "link.py").symlink_to("main.py")
    archive.unpack(pack(code), tmp_path / "out")
    files = {str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert sorted(files) == ["lib/a.py", "link.py", "main.py", "run"]
    assert files["link.py"].read_text() == "x"
    assert os.access(files["run"], os.X_OK)


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    packed = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("b.py", "a.py") if name == "one" else ("a.py", "b.py"):
            (folder / file).write_text(file)
            os.utime(folder / file, (len(packed), len(packed)))
        packed.append(pack(folder))
    assert packed[0] == packed[1]


def test_a_file_is_taken_as_it_is_and_nothing_else_is_taken(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_bytes(b"\xff")
    assert pack(tmp_path / "main.py") == b"\xff"
    with pytest.raises(ValueError, match="no such file"):
        pack(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe: is neither"):
        pack(tmp_path)


def test_code_is_text_bytes_or_a_path(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("ä")
    assert {base64.b64decode(calls.encoded(code)) for code in ("ä", "ä".encode(), tmp_path / "f")} == {"ä".encode()}


def test_times_and_durations_are_sent_as_the_api_has_them() -> None:
    body = calls.invocation("f", None, timeout=timedelta(seconds=1.5), run_at=datetime(2030, 1, 2, tzinfo=UTC))
    assert body == {"function_id": "f", "payload": None, "timeout": 1.5, "run_at": "2030-01-02T00:00:00.000Z"}


def test_every_invocation_has_a_key_of_its_own_unless_the_caller_gives_one() -> None:
    made = {calls.invoke({}, None).headers["Idempotency-Key"] for _ in range(2)}
    assert len(made) == 2
    assert calls.invoke({}, "mine").headers["Idempotency-Key"] == "mine"
