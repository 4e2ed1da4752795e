"""What `faas doctor` says of Docker's walls."""

from __future__ import annotations

import pytest

from faas.cli.isolation import findings
from faas.sandbox.isolation import inspect, isolation_of

PLAIN = {
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    "Runtimes": {"runc": {}, "io.containerd.runc.v2": {}},
    "DefaultRuntime": "runc",
}


def told(oci_runtime="", **changes):
    return {one.check: one for one in findings(isolation_of({**PLAIN, **changes}, oci_runtime))}


def test_a_plain_engine_is_well_and_shares_the_kernel():
    found = told()
    assert set(found) == {"OCI runtime", "user namespaces", "rootless Docker"}
    assert found["OCI runtime"].state == "ok"
    assert "share this host's kernel" in found["OCI runtime"].detail
    assert "no:" in found["rootless Docker"].detail


def test_gvisor_is_a_kernel_of_their_own():
    found = told("runsc", Runtimes={"runc": {}, "runsc": {}})
    assert "kernel of their own" in found["OCI runtime"].detail


def test_a_runtime_that_docker_does_not_know_fails():
    found = told("runsc")["OCI runtime"]
    assert found.state == "fail"
    assert "WORKER_OCI_RUNTIME" in found.remedy


def test_remapped_users_are_told():
    found = told(SecurityOptions=["name=seccomp,profile=builtin", "name=userns"])["user namespaces"]
    assert (found.state, "no account of this host has" in found.detail) == ("ok", True)


def test_rootless_has_no_egress():
    found = told(SecurityOptions=["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"])
    assert found["rootless Docker"].state == "warn"
    assert "egress" in found["rootless Docker"].detail
    assert found["user namespaces"].state == "ok"


@pytest.mark.parametrize("options", [[], None, ["name=seccomp,profile=unconfined"]])
def test_unfiltered_system_calls_are_a_warning(options):
    assert told(SecurityOptions=options)["system calls"].state == "warn"


@pytest.mark.container
def test_the_engine_of_this_machine_tells():
    found = inspect("")
    assert found is not None
    assert found.oci_runtime in found.known_runtimes
