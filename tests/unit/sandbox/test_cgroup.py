"""Trees as kernels lay them out, written to a folder: what is found in them, and what is written where."""

from pathlib import Path

import pytest

from faas.errors import SandboxError
from faas.sandbox.cgroup import ControlGroup, find, quota_us

ID = "beb3b02fc183c3634d602c8580116c3bb910c73eca880e30f1701ef4724fbb1b"
PID = 4711


class Host:
    """A host's `/proc` and control groups, in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = root / "proc"
        self.mounts: list[str] = []

    def mount(self, place: str, kind: str, options: str, root: str = "/") -> Path:
        folder = self.root / place
        folder.mkdir(parents=True)
        self.mounts.append(
            f"31 23 0:28 {root} {str(folder).replace(' ', chr(92) + '040')} rw,relatime shared:9 - {kind} {kind} {options}"
        )
        return folder

    def container(self, groups: str) -> ControlGroup | None:
        for name, content in ((f"{PID}/cgroup", groups), ("self/mountinfo", "\n".join(self.mounts) + "\n")):
            path = self.proc / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return find(PID, ID, proc=self.proc)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(str(1 << 28))
    return folder


def version_1(host: Host, *memory_files: str) -> tuple[ControlGroup, Path, Path]:
    memory = put(host.mount("sys/fs/cgroup/memory", "cgroup", "rw,memory") / "docker" / ID, *memory_files)
    cpu = put(host.mount("sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct") / "docker" / ID, "cpu.cfs_quota_us")
    # A hybrid host has the second version's tree too, without a controller of use.
    host.mount("sys/fs/cgroup/unified", "cgroup2", "rw,nsdelegate")
    group = host.container(
        f"9:name=systemd:/docker/{ID}\n4:memory:/docker/{ID}\n1:cpu,cpuacct:/docker/{ID}\n0::/docker/{ID}\n"
    )
    assert group is not None
    return group, memory, cpu


def version_2(host: Host, *files: str) -> tuple[ControlGroup, Path]:
    folder = put(
        host.mount("sys/fs/cgroup", "cgroup2", "rw,nsdelegate") / "system.slice" / f"docker-{ID}.scope", *files
    )
    group = host.container(f"0::/system.slice/docker-{ID}.scope\n")
    assert group is not None
    return group, folder


def test_version_1_is_found_on_a_hybrid_host(host):
    group, memory, cpu = version_1(host)
    assert group == ControlGroup(1, memory, cpu)


def test_version_2_is_found(host):
    group, folder = version_2(host)
    assert group == ControlGroup(2, folder, folder, folder, folder)


def test_a_mount_of_a_part_of_the_tree_is_followed(host):
    folder = put(host.mount("a place/memory", "cgroup", "rw,memory", root="/outer") / "docker" / ID)
    group = host.container(f"4:memory:/outer/docker/{ID}\n")
    assert group is not None
    assert group.memory == folder


@pytest.mark.parametrize(
    "groups",
    ["0::/system.slice/docker-another.scope\n", "0::/\n", "", "no colon", "4:memory:/elsewhere/{ID}\n"],
    ids=["another container", "the root", "empty", "garbage", "a controller that is not mounted"],
)
def test_what_can_not_be_the_container_is_not_taken(host, groups):
    put(host.mount("sys/fs/cgroup", "cgroup2", "rw") / "system.slice" / "docker-another.scope")
    assert host.container(groups.replace("{ID}", ID)) is None


def test_a_process_that_is_gone_has_no_group(tmp_path):
    assert find(PID, ID, proc=tmp_path) is None


def test_version_1_limits_are_written(host):
    group, memory, cpu = version_1(host, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    assert group.limit(64, 0.5) is True
    assert (memory / "memory.limit_in_bytes").read_text() == str(64 << 20)
    assert (memory / "memory.memsw.limit_in_bytes").read_text() == str(64 << 20)
    assert (cpu / "cpu.cfs_quota_us").read_text() == "50000"


def test_version_2_limits_are_written(host):
    group, folder = version_2(host, "memory.max", "memory.swap.max", "cpu.max")
    assert group.limit(1024, 2) is True
    assert (folder / "memory.max").read_text() == str(1 << 30)
    assert (folder / "memory.swap.max").read_text() == "0"
    assert (folder / "cpu.max").read_text() == "200000 100000"


def test_a_kernel_without_accounting_of_swap_is_limited_too(host):
    group, folder = version_2(host, "memory.max", "cpu.max")
    assert group.limit(64, 1) is True
    assert (folder / "memory.max").read_text() == str(64 << 20)
    assert not (folder / "memory.swap.max").exists()


def test_limits_that_can_not_be_set_are_an_error(host):
    group, folder = version_2(host)
    (folder / "memory.max").mkdir()
    with pytest.raises(SandboxError, match="64 MB and 1 CPUs can't be set"):
        group.limit(64, 1)


def test_version_1_is_frozen_by_a_controller_of_its_own(host):
    freezer = put(host.mount("sys/fs/cgroup/freezer", "cgroup", "rw,freezer") / "docker" / ID, "freezer.state")
    put(host.mount("sys/fs/cgroup/memory", "cgroup", "rw,memory") / "docker" / ID)
    group = host.container(f"7:freezer:/docker/{ID}\n4:memory:/docker/{ID}\n")
    assert group.freeze() is True
    assert (freezer / "freezer.state").read_text() == "FROZEN"
    assert group.thaw() is True
    assert (freezer / "freezer.state").read_text() == "THAWED"


def test_version_2_is_frozen(host):
    group, folder = version_2(host, "cgroup.freeze")
    assert group.freeze() is True
    assert (folder / "cgroup.freeze").read_text() == "1"
    assert group.thaw() is True
    assert (folder / "cgroup.freeze").read_text() == "0"


def test_where_it_can_not_be_frozen_it_is_said(host):
    assert version_1(host)[0].freeze() is False


def test_version_1_counters(host):
    group, memory, _ = version_1(host)
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    (memory / "memory.max_usage_in_bytes").write_text(f"{96 << 20}\n")
    (memory / "cgroup.procs").write_text("12\n15\n")
    assert (group.oom_kills(), group.memory_peak_mb(), group.processes()) == (3, 96.0, 2)
    group.reset_peak()
    # The kernel takes what is written as the value, whatever was there; a plain file keeps its end.
    assert (memory / "memory.max_usage_in_bytes").read_text().splitlines()[0] == "0"


def test_counters_are_read_anew_each_time_until_the_group_is_closed(host):
    group, memory, _ = version_1(host)
    for number in (7, 123):
        (memory / "memory.oom_control").write_text(f"under_oom 0\noom_kill {number}\n")
        assert group.oom_kills() == number
    group.close()
    group.reset_peak()
    assert (group.oom_kills(), group.memory_peak_mb()) == (None, None)
    group.close()


def test_version_2_counters(host):
    group, folder = version_2(host)
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 21\noom 2\noom_kill 1\noom_group_kill 0\n")
    (folder / "memory.peak").write_text(f"{1 << 19}\n")
    (folder / "cgroup.procs").write_text("12\n")
    assert (group.oom_kills(), group.memory_peak_mb(), group.processes()) == (1, 0.5, 1)


def test_more_processes_are_told_by_the_tasks_where_these_say_it_and_by_the_list_where_not(host):
    memory = put(host.mount("sys/fs/cgroup/memory", "cgroup", "rw,memory") / "docker" / ID)
    pids = put(host.mount("sys/fs/cgroup/pids", "cgroup", "rw,pids") / "docker" / ID)
    group = host.container(f"7:pids:/docker/{ID}\n4:memory:/docker/{ID}\n")
    (memory / "cgroup.procs").write_text("12\n15\n17\n")
    assert (group.outnumbers(2), group.outnumbers(3)) == (True, False)
    (pids / "pids.current").write_text("9\n")
    # Six of the nine are threads.
    assert (group.outnumbers(2), group.outnumbers(3)) == (True, False)
    (pids / "pids.current").write_text("2\n")
    assert group.outnumbers(2) is False
    group.close()
    (memory / "cgroup.procs").unlink()
    assert group.outnumbers(0) is False


def test_version_2_has_the_tasks_beside_the_list(host):
    group, folder = version_2(host)
    assert group.outnumbers(0) is False
    (folder / "cgroup.procs").write_text("12\n")
    (folder / "pids.current").write_text("3\n")
    assert (group.outnumbers(0), group.outnumbers(1)) == (True, False)


def test_what_the_kernel_does_not_tell_is_unknown(host):
    group, _ = version_2(host)
    assert (group.oom_kills(), group.memory_peak_mb(), group.processes()) == (None, None, None)


@pytest.mark.parametrize(("cpus", "quota"), [(1, 100_000), (0.1, 10_000), (0.001, 1000), (8, 800_000)])
def test_a_share_of_cpu_is_a_quota(cpus, quota):
    assert quota_us(cpus) == quota
