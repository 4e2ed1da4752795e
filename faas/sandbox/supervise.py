"""The parent of one simple sandbox: starts its agent, and lets nothing outlive the worker. A program of its own, standard library only.

Usage: python3 -I -S supervise.py OPEN_FILES COMMAND... (in the folder and with the environment that the agent is to have)

It prints `started PID`, then, once all is over, `exited STATUS` or `killed SIGNAL`. It kills everything when its standard input ends, which the
kernel sees to when the worker dies, however that dies. As a subreaper it is the parent of every process whose own parent is gone, so a
daemon can't get away. A thread of the worker could not be the parent: `PR_SET_PDEATHSIG` is tied to the thread, which ends before its worker.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAUSE_MS = 2


def main() -> None:
    """Run until the agent or the worker ends."""
    # A terminal's Ctrl-C is for the worker, which closes its sandboxes in order.
    os.setsid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake, wake_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
    agent = _start(libc, int(sys.argv[1]), sys.argv[2:])
    _say(f"started {agent}")
    status = _watch(agent, wake)
    _kill_all(agent)
    # The last children are reaped by now, the agent among them.
    _say(_words(status if status is not None else -signal.SIGKILL))


def _start(libc: ctypes.CDLL, open_files: int, command: list[str]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)
        # An interpreter ignores SIGPIPE, and what is ignored stays so in the programs that it starts.
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        open_files = open_files if most == resource.RLIM_INFINITY else min(open_files, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(null, descriptor)
        os.execve(command[0], command, dict(os.environ))  # noqa: S606 (a list made by the engine)
    finally:
        os._exit(127)


def _watch(agent: int, wake: int) -> int | None:
    """Wait for the end of the agent or of the standard input; the agent's status, None where it still lives."""
    poller = select.poll()
    poller.register(0, select.POLLIN)
    poller.register(wake, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poller.poll()}
        if wake in ready:
            with contextlib.suppress(OSError):
                os.read(wake, 4096)
        status = _reap(agent)
        if status is not None:
            return status
        if 0 in ready and not os.read(0, 1):
            return None


def _reap(agent: int) -> int | None:
    """Collect what has ended; the agent's status where it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            if pid == agent:
                found = os.waitstatus_to_exitcode(status)
    return found


def _kill_all(agent: int) -> None:
    """Kill every descendant until none is left: those that lose their parent become children of this process."""
    with contextlib.suppress(OSError):
        os.killpg(agent, signal.SIGKILL)
    poller = select.poll()
    while True:
        children = _children(os.getpid())
        if not children:
            return
        todo = children
        while todo:
            pid = todo.pop()
            todo += _children(pid)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        poller.poll(_PAUSE_MS)
        _reap(agent)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (a list of names is all)
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:  # noqa: PTH123 (no pathlib: it costs a start 5 ms)
                found += map(int, file.read().split())
    return found


def _words(code: int) -> str:
    return f"killed {-code}" if code < 0 else f"exited {code}"


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    main()
