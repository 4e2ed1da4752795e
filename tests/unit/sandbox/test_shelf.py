"""The shelf of unpacked code, over a real storage folder."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faas.domain.function import Revision, Runtime, Spec
from faas.errors import FunctionError, StorageError
from faas.sandbox.shelf import Shelf, unpack_source
from faas.storage.local import LocalStorage

SOURCE = b"def handler(event, context):\n    return event\n"


class CountingStorage(LocalStorage):
    """A folder that counts how often it is read."""

    reads = 0

    def get(self, digest: str) -> bytes:
        """Read, and count."""
        self.reads += 1
        return super().get(digest)


@pytest.fixture
def storage(tmp_path: Path) -> CountingStorage:
    return CountingStorage(tmp_path / "packages")


@pytest.fixture
def shelf(storage: CountingStorage, tmp_path: Path) -> Shelf:
    return Shelf(storage, tmp_path / "shelf")


def revision(
    digest: str, runtime: Runtime = Runtime.PYTHON, handler: str = "main.handler", number: int = 1
) -> Revision:
    return Revision("f", "f", number, Spec(runtime, handler), digest, digest)


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return out.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def aged(*folders: Path) -> None:
    """Make folders look as if nobody had asked for them in an hour."""
    for folder in folders:
        os.utime(folder, (folder.stat().st_atime - 3600, folder.stat().st_mtime - 3600))


@pytest.mark.parametrize(
    ("runtime", "handler", "data", "path"),
    [
        (Runtime.PYTHON, "main.handler", SOURCE, "main.py"),
        (Runtime.PYTHON, "src/deep/app.run", SOURCE, "src/deep/app.py"),
        (Runtime.NODEJS, "index.handler", b"exports.handler = async (e) => e;\n", "index.js"),
        (Runtime.NODEJS, "index.handler", b"export const handler = async (e) => e;\n", "index.mjs"),
        (Runtime.GO, "main", b"\x7fELF program", "main"),
    ],
)
def test_one_file_lies_under_its_name(
    storage: CountingStorage, shelf: Shelf, runtime: Runtime, handler: str, data: bytes, path: str
) -> None:
    assert contents(shelf.get(revision(storage.put(data), runtime, handler))) == {path: data}


def test_an_archive_lies_unpacked_whatever_the_handler(storage: CountingStorage, shelf: Shelf) -> None:
    files = {"main.py": SOURCE, "data/table.csv": b"1,2\n"}
    digest = storage.put(zip_of(files))
    folder = shelf.get(revision(digest))
    assert contents(folder) == files
    assert shelf.get(revision(digest, handler="other.handler")) == folder


def test_code_can_be_read_and_not_written(storage: CountingStorage, shelf: Shelf) -> None:
    folder = shelf.get(revision(storage.put(zip_of({"a/main.py": SOURCE}))))
    assert (mode(folder), mode(folder / "a"), mode(folder / "a" / "main.py")) == (0o755, 0o755, 0o444)
    program = shelf.get(revision(storage.put(b"\x7fELF"), Runtime.GO, "main"))
    assert mode(program / "main") == 0o555
    single = shelf.get(revision(storage.put(SOURCE), handler="a/b.c"))
    assert (mode(single), mode(single / "a"), mode(single / "a" / "b.py")) == (0o755, 0o755, 0o444)


def test_one_source_under_two_handlers_lies_twice(storage: CountingStorage, shelf: Shelf) -> None:
    digest = storage.put(SOURCE)
    assert contents(shelf.get(revision(digest, handler="one.handler"))) == {"one.py": SOURCE}
    assert contents(shelf.get(revision(digest, handler="two.handler"))) == {"two.py": SOURCE}
    assert contents(shelf.get(revision(digest, Runtime.NODEJS, handler="one.handler"))) == {"one.js": SOURCE}


def test_revisions_of_the_same_code_share_a_folder_that_is_made_once(storage: CountingStorage, shelf: Shelf) -> None:
    digest = storage.put(SOURCE)
    assert shelf.get(revision(digest)) == shelf.get(revision(digest, number=2)) == shelf.get(revision(digest))
    assert storage.reads == 1


def test_many_threads_at_once_make_a_folder_once(storage: CountingStorage, shelf: Shelf) -> None:
    digest = storage.put(zip_of({f"f{number}.py": SOURCE for number in range(300)}))
    start = threading.Barrier(8)

    def get(_: int) -> Path:
        start.wait(30)
        return shelf.get(revision(digest))

    with ThreadPoolExecutor(8) as threads:
        folders = set(threads.map(get, range(8)))
    assert len(folders) == 1
    assert len(contents(folders.pop())) == 300
    assert storage.reads == 1


def test_several_processes_may_share_a_shelf(storage: CountingStorage, shelf: Shelf, tmp_path: Path) -> None:
    digest = storage.put(zip_of({f"f{number}.py": SOURCE for number in range(300)}))
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from faas.domain.function import Revision, Runtime, Spec\n"
        "from faas.sandbox.shelf import Shelf\nfrom faas.storage.local import LocalStorage\n"
        "root, digest = Path(sys.argv[1]), sys.argv[2]\n"
        "revision = Revision('f', 'f', 1, Spec(Runtime.PYTHON, 'main.handler'), digest, digest)\n"
        "folder = Shelf(LocalStorage(root / 'packages'), root / 'shelf').get(revision)\n"
        "print(folder, len(list(folder.iterdir())))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), digest]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    lines = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert lines == {f"{shelf.get(revision(digest))} 300"}
    assert list((tmp_path / "shelf" / "incoming").iterdir()) == []


def test_a_folder_outlives_the_process(storage: CountingStorage, shelf: Shelf, tmp_path: Path) -> None:
    digest, packed = storage.put(SOURCE), storage.put(zip_of({"main.py": SOURCE}))
    before = [shelf.get(revision(digest)), shelf.get(revision(packed))]
    storage.delete(digest)
    storage.delete(packed)
    again = Shelf(storage, tmp_path / "shelf")
    assert [again.get(revision(digest)), again.get(revision(packed))] == before


def test_folders_of_an_earlier_boot_go(storage: CountingStorage, shelf: Shelf, tmp_path: Path) -> None:
    folder = shelf.get(revision(storage.put(SOURCE)))
    other_boot = tmp_path / "shelf" / "00000000-1111-2222-3333-444444444444"
    folder.parent.rename(other_boot)
    Shelf(storage, tmp_path / "shelf")
    assert not other_boot.exists()


def test_damaged_code_is_a_storage_error_and_leaves_nothing(
    storage: CountingStorage, shelf: Shelf, tmp_path: Path
) -> None:
    digest = storage.put(SOURCE)
    path = next(path for path in (tmp_path / "packages").rglob("*") if path.is_file())
    path.write_bytes(b"import os\n")
    with pytest.raises(StorageError):
        shelf.get(revision(digest))
    storage.put(SOURCE)
    assert contents(shelf.get(revision(digest))) == {"main.py": SOURCE}


def test_an_archive_that_cannot_be_unpacked_is_a_storage_error_and_leaves_nothing(
    storage: CountingStorage, shelf: Shelf, tmp_path: Path
) -> None:
    digest = storage.put(zip_of({"good.py": SOURCE, "../evil.py": SOURCE}))
    with pytest.raises(StorageError):
        shelf.get(revision(digest))
    assert [path for path in (tmp_path / "shelf").rglob("*") if path.is_file()] == []


def test_a_name_that_no_disk_takes_is_the_functions_fault(storage: CountingStorage, shelf: Shelf) -> None:
    with pytest.raises(FunctionError):
        shelf.get(revision(storage.put(SOURCE), handler="x" * 254 + ".h"))


def test_the_least_recently_used_leave_when_the_disk_is_short(storage: CountingStorage, tmp_path: Path) -> None:
    shelf = Shelf(storage, tmp_path / "shelf", max_bytes=3 * 1024 * 1024)
    folders = [shelf.get(revision(storage.put(bytes([number]) * 1024 * 1024))) for number in (1, 2)]
    for folder in folders:
        aged(folder)
    Shelf(storage, tmp_path / "shelf").get(revision(storage.put(b"\1" * 1024 * 1024)))  # marks the first as used
    folders += [shelf.get(revision(storage.put(bytes([number]) * 1024 * 1024))) for number in (3, 4)]
    assert [folder.exists() for folder in folders] == [True, False, True, True]


def test_what_was_just_handed_out_stays_whatever_the_bound(storage: CountingStorage, tmp_path: Path) -> None:
    shelf = Shelf(storage, tmp_path / "shelf", max_bytes=1)
    folders = [shelf.get(revision(storage.put(bytes([number]) * 10))) for number in (1, 2, 3)]
    assert all(contents(folder) for folder in folders)


def test_a_folder_that_another_process_removed_is_made_again(storage: CountingStorage, tmp_path: Path) -> None:
    code = revision(storage.put(SOURCE))
    folder = Shelf(storage, tmp_path / "shelf").get(code)
    shutil.rmtree(folder)
    assert contents(Shelf(storage, tmp_path / "shelf").get(code)) == {"main.py": SOURCE}


def test_sources_for_a_build_can_be_written(tmp_path: Path) -> None:
    unpack_source(Spec(Runtime.GO, "main"), b"package main\n", tmp_path / "one")
    assert contents(tmp_path / "one") == {"main.go": b"package main\n"}
    unpack_source(Spec(Runtime.GO, "main"), zip_of({"go.mod": b"module x\n", "cmd/main.go": b""}), tmp_path / "two")
    assert contents(tmp_path / "two") == {"go.mod": b"module x\n", "cmd/main.go": b""}
    assert mode(tmp_path / "one" / "main.go") == 0o644
