"""The agent of the Python runtime: runs one function's calls, one after another, for the host that it is connected to.

Usage: python3 -I -S -B -X utf8 agent.py EXCHANGE

EXCHANGE is a folder with the socket `agent.sock`, the FIFOs `stdout` and `stderr`, and the folder `code`. The frames are described in
faas/sandbox/protocol.py. Standard library only, Python 3.11 or newer. It ends when the host closes the connection.
"""

import base64  # noqa: F401 (functions use them: loaded before a function is given, they cost it nothing)
import builtins
import collections  # noqa: F401
import datetime  # noqa: F401
import decimal  # noqa: F401
import fcntl
import functools  # noqa: F401
import gc
import hashlib  # noqa: F401
import importlib
import importlib.util
import inspect
import io
import json
import logging  # noqa: F401
import os
import random  # noqa: F401
import re  # noqa: F401
import socket
import struct
import sys
import time
import traceback
import types

RESULT_BYTES = 6 * 1024 * 1024
CHUNK = 64 * 1024
MESSAGE_CHARACTERS = 8 * 1024
HIGH_DESCRIPTOR = 200


class Context:
    """What a handler gets as its second argument; the names are AWS Lambda's, and `invocation_id` and `headers`."""

    def __init__(self, init, call):
        self.function_name = init["function_name"]
        self.function_version = init["function_version"]
        self.memory_limit_in_mb = init["memory_mb"]
        self.aws_request_id = self.invocation_id = call["id"]
        self.headers = call["headers"]
        self._deadline = time.monotonic() + call["deadline_ms"] / 1000 - time.time()

    def get_remaining_time_in_millis(self):
        """Milliseconds until the call's time is over."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


class Host:
    """The connection to the host."""

    def __init__(self, path):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(path)
        # High, so that no function meets it by closing or reusing low descriptors, and closed in programs that a function starts.
        self._socket = socket.socket(fileno=fcntl.fcntl(connection, fcntl.F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR))
        connection.close()
        os.register_at_fork(after_in_child=self._close)

    def _close(self):
        # A forked child that kept it open would hide the death of its parent from the host.
        self._socket.close()
        self._socket = None

    def receive(self):
        # The host sends one frame and waits, so nothing but this one comes.
        data = self._some(CHUNK)
        while len(data) < 4:
            data += self._some(CHUNK)
        left = 4 + int.from_bytes(data[:4], "big") - len(data)
        if left:
            data = bytearray(data)
            while left:
                data += self._some(min(left, CHUNK))
                left = 4 + int.from_bytes(data[:4], "big") - len(data)
        return json.loads(data[4:])

    def _some(self, most):
        data = self._open().recv(most)
        if not data:
            os._exit(0)
        return data

    def send(self, message):
        self.send_text(json.dumps(message).encode())

    def send_text(self, body):
        self._open().sendall(struct.pack(">I", len(body)) + body)

    def _open(self):
        if self._socket is None:
            # A function forked, and its child came back from the handler too: only the parent may answer.
            os._exit(1)
        return self._socket


class Function:
    """The function that this sandbox was given to."""

    def __init__(self, init):
        self._init = init
        self._runner = None
        os.environ.update(init["environment"])
        time.tzset()
        os.chdir("code")
        self.code = os.getcwd()
        sys.path.insert(0, self.code)
        importlib.invalidate_caches()
        path, _, name = init["handler"].rpartition(".")
        module = load(self.code, path)
        try:
            self._handler = getattr(module, name)
        except AttributeError:
            raise AttributeError(f"the module {path!r} has no handler {name!r}") from None
        if not callable(self._handler):
            raise TypeError(f"the handler {name!r} of the module {path!r} can't be called")

    def call(self, call):
        value = self._handler(call["payload"], Context(self._init, call))
        return self._wait(value) if inspect.isawaitable(value) else value

    def _wait(self, awaitable):
        import asyncio

        async def result():
            return await awaitable

        if self._runner is None:
            # One loop for all calls: clients that a module keeps stay bound to it.
            self._runner = asyncio.Runner()
        return self._runner.run(result())


def load(code, path):
    """The handler's module. `path` has `/` or `.` between its segments."""
    name = path.replace("/", ".")
    top = name.partition(".")[0]
    if top not in sys.modules and top not in sys.stdlib_module_names:
        return importlib.import_module(name)
    # `os.handler` means the file os.py of the code, and not the module that is loaded already or would be found first.
    file = os.path.join(code, *name.split("."))
    file = file + ".py" if os.path.isfile(file + ".py") else os.path.join(file, "__init__.py")
    if not os.path.isfile(file):
        raise ModuleNotFoundError(f"No module named {name!r}")
    spec = importlib.util.spec_from_file_location("function_" + name.replace(".", "_"), file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def answer(function, call):
    """The frame that answers a call, as bytes."""
    head = {"type": "error", "id": call["id"]}
    try:
        value = function.call(call)
    except BaseException as exc:
        return json.dumps({**head, **described(exc, function.code)}).encode()
    try:
        result = encoded(value)
    except BaseException as exc:
        return json.dumps({**head, "kind": "invalid_result", "message": message_of(exc)}).encode()
    if len(result) > RESULT_BYTES:
        return json.dumps({**head, "kind": "too_large"}).encode()
    return b'{"type":"result","id":%s,"result":%s}' % (json.dumps(call["id"]).encode(), result)


def encoded(value):
    try:
        return encode_plain(value).encode()
    except UnicodeEncodeError:
        # A lone surrogate: it has no UTF-8, but JSON can escape it.
        return encode_escaped(value).encode()


# `json.dumps` makes an encoder at each call where it is not asked for the usual.
encode_plain = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
encode_escaped = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def described(exc, code):
    """The fields of a frame that tell of an exception."""
    if isinstance(exc, SystemExit):
        if exc.code is None or isinstance(exc.code, int):
            return {"kind": "exit", "code": (exc.code or 0) & 0xFF}
        return {"kind": "exit", "code": 1, "message": message_of(exc)}
    return {
        "kind": "exception",
        "class": type(exc).__name__,
        "message": message_of(exc),
        "stack_trace": trace_of(exc, code),
    }


def message_of(exc):
    try:
        return str(exc)[:MESSAGE_CHARACTERS]
    except BaseException:
        return f"<{type(exc).__name__} whose text can't be made>"


def trace_of(exc, code):
    """The function's own part of the stack, as lines; files of the code by their path in it."""
    try:
        frames = [
            frame for frame in traceback.extract_tb(exc.__traceback__) if frame.filename != main.__code__.co_filename
        ]
        own = [n for n, frame in enumerate(frames) if frame.filename.startswith(code + "/")]
        frames = frames[own[0] :] if own else [frame for frame in frames if "importlib" not in frame.filename]
        shown = [
            traceback.FrameSummary(
                f.filename.removeprefix(code + "/"), f.lineno, f.name, lookup_line=False, line=f.line
            )
            for f in frames
        ]
        text = traceback.format_list(shown)
        if isinstance(exc, SyntaxError):
            text += traceback.format_exception_only(exc)
    except BaseException:
        return []
    return [line.replace(code + "/", "").removeprefix("  ") for part in text for line in part.rstrip("\n").split("\n")]


def attach_streams():
    """Make the host's FIFOs the standard streams."""
    for name, descriptor, flags in (
        ("/dev/null", 0, os.O_RDONLY),
        ("stdout", 1, os.O_WRONLY),
        ("stderr", 2, os.O_WRONLY),
    ):
        opened = os.open(name, flags)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)
        os.set_inheritable(descriptor, True)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = (text_stream(1), text_stream(2))


def text_stream(descriptor):
    raw = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
    # By lines, so that what was printed before a deadline or a crash is seen, in order with what child processes print.
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def flush():
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except BaseException:
            # The function closed or replaced it; that must not stop the answer.
            pass


def hide_the_agent():
    """Functions see an empty `__main__` and the names that `site` gives to a plain interpreter."""
    import _sitebuiltins

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    sys.argv = [""]
    sys.modules["__main__"] = types.ModuleType("__main__")


def main():
    os.chdir(sys.argv[1])
    host = Host("agent.sock")
    attach_streams()
    hide_the_agent()
    gc.collect()
    gc.freeze()
    host.send({"type": "hello"})
    init = host.receive()
    try:
        function = Function(init)
    except BaseException as exc:
        failure = described(exc, os.getcwd())
        if "class" in failure:
            failure["message"] = f"{failure['class']}: {failure['message']}"
        flush()
        host.send({"type": "init_error", **failure})
        os._exit(1)
    flush()
    host.send({"type": "ready"})
    while True:
        frame = answer(function, host.receive())
        flush()
        host.send_text(frame)


if __name__ == "__main__":
    main()
