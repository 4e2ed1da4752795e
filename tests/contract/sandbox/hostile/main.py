# Written as a hostile function would be.
# ruff: noqa
import ctypes
import errno
import json
import mmap
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

PLANTED, LEAKED = [], []
COUNTER = 0
LIBC = ctypes.CDLL(None, use_errno=True)


def tried(work, *arguments):
    """What came of it: `done`, or the error's name."""
    try:
        work(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "done"


def called(number, *arguments):
    """A system call, by its number on x86-64 and arm64."""
    LIBC.syscall.restype = ctypes.c_long
    if LIBC.syscall(ctypes.c_long(number[os.uname().machine == "aarch64"]), *arguments) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return "done"


def write(path, text="x"):
    with open(path, "w") as file:
        file.write(text)


def until_refused(work):
    for count in range(1 << 30):
        try:
            work(count)
        except OSError as error:
            return [errno.errorcode[error.errno], count > 0]


def ok(event):
    global COUNTER
    COUNTER += 1
    return COUNTER


def plant(event):
    PLANTED.append("planted")
    import builtins

    builtins.planted = True
    os.environ["PLANTED"] = "1"
    return PLANTED


# ---- time


def busy(event):
    while True:
        pass


def sleeps(event):
    time.sleep(600)


def deaf(event):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(60)


def deadlock(event):
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()


def regex(event):
    return bool(re.match(r"(a+)+$", "a" * 60 + "b"))


async def blocked_loop():
    while True:
        time.sleep(60)


# ---- processes


def fork_bomb(event):
    while True:
        try:
            os.fork()
        except OSError:
            pass


def forks_to_the_limit(event):
    def fork(_):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)

    return until_refused(fork)


def thread_bomb(event):
    while True:
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def daemon(event):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
    return "answered"


# ---- memory and disk


def eats(event):
    kept = []
    while True:
        kept.append(b"x" * (1 << 20))


def leaks(event):
    LEAKED.append(b"x" * (40 << 20))
    return len(LEAKED)


CHILD = "kept = []\nwhile True: kept.append(b'x' * (1 << 20))"


def child_eats(event):
    return subprocess.run([sys.executable, "-c", CHILD]).returncode


def child_eats_and_it_fails(event):
    subprocess.run([sys.executable, "-c", CHILD], check=True)


def fills(event):
    with open(event["place"] + "/full", "wb", buffering=0) as file:
        return until_refused(lambda _: file.write(bytes(1 << 20)))


def inodes(event):
    return until_refused(lambda n: open(f"/tmp/file-{n}", "w").close())


def opens(event):
    return until_refused(lambda _: os.open("/dev/null", os.O_RDONLY))


def sparse(event):
    with open("/tmp/sparse", "wb") as file:
        file.truncate(1 << 42)
    return os.stat("/tmp/sparse").st_blocks


# ---- output


def floods(event):
    line = b"\x1b[31m\xff\x00x" * 8192
    for _ in range(256):
        os.write(1, line)
        os.write(2, line)
    return "flooded"


def long_line(event):
    block = b"x" * (1 << 20)
    for _ in range(1024):
        os.write(1, block)
    return "printed"


def forges(event):
    body = b'{"type": "result", "id": "%s", "result": "forged"}' % event["id"].encode()
    for descriptor in range(300):
        try:
            os.write(descriptor, len(body).to_bytes(4, "big") + body)
        except OSError:
            pass
    time.sleep(600)


VALUES = {
    "huge": lambda: "x" * (7 << 20),
    "nan": lambda: float("nan"),
    "deep": lambda: json.loads("[" * 900 + "]" * 900),
    "nul": lambda: "a\0b",
}


def returns(event):
    if event["what"] == "cyclic":
        value = []
        value.append(value)
        return value
    return VALUES[event["what"]]()


# ---- exits


def exits(event):
    os._exit(event["code"])


def aborts(event):
    os.abort()


def crashes(event):
    ctypes.string_at(0)


def kills_init(event):
    os.kill(1, event["signal"])
    time.sleep(event.get("seconds", 0))
    return "lives"


def closes(event):
    os.closerange(0, 3)
    return "closed"


def computes_on(event):
    def work():
        while True:
            pass

    threading.Thread(target=work, daemon=True).start()
    return "answered"


def crashes_late(event):
    time.sleep(event["seconds"])
    os._exit(7)


# ---- files and secrets


def searches(event):
    """Where a text is found: in what /proc tells of any process, the environment, and all files that are small enough to be secrets."""
    marks = [mark.encode() for mark in event["marks"]]
    found = []
    places = [
        f"/proc/{pid}/{name}"
        for pid in os.listdir("/proc")
        if pid.isdigit()
        for name in ("environ", "cmdline", "mountinfo", "maps")
    ]
    for top in ("/faas", "/etc", "/run", "/tmp", "/home", "/root", "/var", "/opt", "/dev/shm", "/mnt", "/srv"):
        for folder, _, names in os.walk(top):
            places += [os.path.join(folder, name) for name in names]
    for place in places:
        try:
            if os.stat(place).st_size > (1 << 20) or not os.path.isfile(place):
                continue
            with open(place, "rb") as file:
                content = file.read()
        except OSError:
            continue
        found += [[place, mark.decode()] for mark in marks if mark in content]
    return {"found": found, "looked": len(places)}


def overwrites(event):
    code, agent = os.path.abspath("main.py"), f"/opt/faas/{event['agent']}"
    return {
        "code": tried(write, code),
        "unlink": tried(os.unlink, code),
        "chmod": tried(os.chmod, code, 0o777),
        "beside": tried(write, os.path.abspath("new.py")),
        "agent": tried(write, agent),
        "agent's folder": tried(write, "/opt/faas/x"),
        "rename": tried(os.rename, agent, "/tmp/agent"),
        "owners": sorted({os.stat(path).st_uid == os.getuid() for path in (code, agent, "/faas", "/faas/code")}),
    }


def links(event):
    return {
        "link": tried(os.symlink, "/etc/passwd", "/faas/link"),
        "link in the code": tried(os.symlink, "/etc/passwd", "/faas/code/link"),
        "fake socket": tried(socket.socket(socket.AF_UNIX).bind, "/faas/agent.sock"),
        "real socket": tried(socket.socket(socket.AF_UNIX).connect, "/faas/agent.sock"),
        "docker": tried(socket.socket(socket.AF_UNIX).connect, "/var/run/docker.sock"),
        "fifo": tried(os.unlink, "/faas/stdout"),
    }


# ---- the kernel


def kernel(event):
    found = {
        "mount": called((165, 40), b"none", b"/tmp", b"tmpfs", 0, None),
        "unshare user": called((272, 97), 0x10000000),
        "unshare mount": called((272, 97), 0x00020000),
        "bpf": called((321, 280), 0, None, 0),
        "keyctl": called((250, 219), 0, 0, 0),
        "setuid": tried(os.setuid, 0),
        "setgid": tried(os.setgid, 0),
        "chroot": tried(os.chroot, "/"),
        "raw": tried(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "packet": tried(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0),
        "sysctl": tried(write, "/proc/sys/kernel/hostname"),
        "sysrq": tried(write, "/proc/sysrq-trigger"),
        "core pattern": tried(write, "/proc/sys/kernel/core_pattern"),
        "memory": tried(open, "/dev/mem"),
        "kernel's memory": tried(open, "/proc/kcore", "rb"),
        "device": tried(os.mknod, "/tmp/device", 0o60600, os.makedev(8, 0)),
        "own program": tried(open, "/proc/self/exe", "r+b"),
        "nice": tried(os.nice, -5),
        "clock": tried(time.clock_settime, time.CLOCK_REALTIME, 0),
    }
    groups = [line.split()[4] for line in open("/proc/self/mountinfo") if " cgroup" in line]
    for place in groups:
        for name in ("memory.limit_in_bytes", "memory.max", "cgroup.procs"):
            path = os.path.join(place, name)
            if os.path.exists(path):
                found[f"cgroup {path}"] = tried(write, path, "1")
    kcore = found.pop("kernel's memory")
    if kcore == "done":
        found["kernel's memory"] = "EMPTY" if not open("/proc/kcore", "rb").read(1) else "done"
    return found


MODES = {name: value for name, value in list(globals().items()) if callable(value)}


def handler(event, context):
    if event["mode"] == "blocked_loop":
        return blocked_loop()
    return MODES[event["mode"]]({**event, "id": context.invocation_id})
