"""How a worker begins, seen from a terminal."""

from __future__ import annotations

import os
import subprocess
import sys


def celery(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celery", "-A", "faas", *arguments]
    return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120)


def test_a_value_that_can_not_be_right_is_one_line_that_names_the_variable():
    done = celery("worker", WORKER_LEASE="soon")
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("faas worker: WORKER_LEASE: ")
    assert "Traceback" not in done.stderr


def test_another_pool_than_threads_is_refused(database_url, redis_url, tmp_path):
    where = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "WORKER_WORK_DIR": str(tmp_path),
        "WORKER_RUNTIME_TYPE": "simple",
    }
    done = celery("worker", "-P", "solo", "--without-gossip", "--without-mingle", **where)
    assert done.returncode != 0
    assert "needs the thread pool" in done.stderr


def test_a_worker_may_have_as_many_open_files_as_the_system_lets_it():
    script = (
        "import resource\n"
        "from faas.worker.lifecycle import allow_open_files\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "allow_open_files()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 65536), hard))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "True", done.stderr
