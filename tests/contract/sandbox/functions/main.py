# Written as functions are, with the os module and open().
# ruff: noqa: PTH115, PTH120, PTH121, PTH123, PTH208
import asyncio
import ctypes
import decimal
import json
import os
import signal
import socket
import subprocess
import sys
import time

COUNTER = 0


class Gale(Exception):
    pass


class Sneaky(Exception):
    pass


Sneaky.__name__ = "Function.Timeout"


class Unsayable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def deeper(n):
    if n == 0:
        raise Gale("wind ☂")
    deeper(n - 1)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def cyclic():
    value = []
    value.append(value)
    return value


def host_connection():
    for name in os.listdir("/proc/self/fd"):
        try:
            if "socket:" in os.readlink(f"/proc/self/fd/{name}") and int(name) > 2:
                return socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
    raise AssertionError("no connection")


VALUES = {
    "tuple": lambda: (1, 2),
    "big_int": lambda: 2**70,
    "int_key": lambda: {1: "a"},
    "surrogate": lambda: "\ud800",
    "deep_200": lambda: nested(200),
    "set": lambda: {1},
    "bytes": lambda: b"x",
    "object": object,
    "decimal": lambda: decimal.Decimal(1),
    "nan": lambda: float("nan"),
    "nested_inf": lambda: {"a": [float("inf")]},
    "tuple_key": lambda: {(1, 2): 3},
    "generator": lambda: (x for x in "ab"),
    "cyclic": cyclic,
    "deep_201": lambda: nested(201),
    "deep_900": lambda: nested(900),
    "deep_100000": lambda: nested(100_000),
    "long_int": lambda: 10**5000,
}


def echo(event, context):
    return event["value"]


def count(event, context):
    global COUNTER
    COUNTER += 1
    return COUNTER


def seen(event, context):
    return {
        "function_name": context.function_name,
        "function_version": context.function_version,
        "memory_limit_in_mb": context.memory_limit_in_mb,
        "aws_request_id": context.aws_request_id,
        "invocation_id": context.invocation_id,
        "headers": context.headers,
        "left": context.get_remaining_time_in_millis(),
    }


def surroundings(event, context):
    return {
        "env": {name: os.environ.get(name) for name in event["names"]},
        "cwd_is_code": os.path.samefile(".", os.path.dirname(__file__)),
        "data": open("data.txt", encoding="utf-8").read(),
        "stdin": sys.stdin.read(),
        "zone": time.tzname[0],
    }


def write_code(event, context):
    tried = {}
    for name in ("main.py", "new.txt"):
        try:
            with open(name, "a") as file:
                file.write("# changed")
            tried[name] = True
        except OSError:
            tried[name] = False
    with open("/tmp/scratch", "w") as file:
        file.write("x")
    return tried


def raises(event, context):
    match event["what"]:
        case "value":
            raise ValueError("bad value: ü")
        case "deep":
            deeper(5)
        case "recursion":
            return raises(event, context)
        case "sneaky":
            raise Sneaky("pretends")
        case "unsayable":
            raise Unsayable
        case "nul":
            raise ValueError("a\0b\ud800c")
        case "long":
            raise ValueError("x" * 1_000_000)
        case "chained":
            try:
                raise KeyError("inner")
            except KeyError as exc:
                raise RuntimeError("outer") from exc
        case "interrupt":
            raise KeyboardInterrupt("stop")
    return None


def exits(event, context):
    sys.exit(event["code"])


def dies(event, context):
    match event["how"]:
        case "exit":
            os._exit(event["code"])
        case "segv":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "abort":
            os.abort()
    time.sleep(30)


def prints(event, context):
    print("one ☂")
    print("two", file=sys.stderr)
    os.write(1, b"three\n")
    os.system("echo four; echo five >&2")
    os.write(2, b"\xff\0six\n")
    print(json.dumps({"type": "result", "result": "forged"}))
    sys.stdout.write("no newline")
    return "done"


def flood(event, context):
    line = "x" * 99 + "\n"
    for _ in range(event["lines"]):
        sys.stdout.write(line)
    os.write(2, b"the other stream\n")
    return "flooded"


def value(event, context):
    return VALUES[event["which"]]()


def big(event, context):
    return "x" * event["size"]


def stuck(event, context):
    print("before")
    match event["how"]:
        case "busy":
            while True:
                pass
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
        case "swallow":
            while True:
                try:
                    time.sleep(60)
                except BaseException:
                    continue


def child(event, context):
    if event["how"] == "daemon":
        subprocess.Popen(["sleep", "600"], start_new_session=True)
    if event["how"] == "fork" and os.fork() == 0:
        return "from the child"
    if event["how"] == "fork":
        os.wait()
    if event["how"] == "reaped":
        subprocess.run(["true"], check=True)
    return os.getpid()


def descriptors(event, context):
    os.closerange(0, 3)
    return "closed"


def forges(event, context):
    connection = host_connection()
    match event["what"]:
        case "garbage":
            connection.sendall(b"\0\0\0\x05hello")
        case "huge":
            connection.sendall(b"\xff\xff\xff\xff")
        case "array":
            connection.sendall(b"\0\0\0\x02[]")
        case "other_call":
            body = b'{"type": "result", "id": "another", "result": 1}'
            connection.sendall(len(body).to_bytes(4, "big") + body)
        case "endless":
            connection.sendall(b"\0\xff\xff\xff" + b"[" * 1000)
        case "close":
            connection.shutdown(socket.SHUT_RDWR)
    time.sleep(30)


def answers_twice(event, context):
    body = json.dumps({"type": "result", "id": context.invocation_id, "result": "first"}).encode()
    frame = len(body).to_bytes(4, "big") + body
    host_connection().sendall(frame + frame)
    return "second"


async def later(event, context):
    await asyncio.sleep(0.01)
    if event.get("fail"):
        raise LookupError("async")
    return [id(asyncio.get_running_loop()), event]


MODES = {
    f.__name__: f
    for f in (
        echo, count, seen, surroundings, write_code, raises, exits, dies, prints, flood, value, big, stuck, child, descriptors, forges, answers_twice,
    )
}  # fmt: skip


def handler(event, context):
    return MODES[event["mode"]](event, context)
