"""A line of JSON for each record."""

from __future__ import annotations

import json
import logging
import sys
import threading

from faas.telemetry import logs


def line(message="said", **extra):
    record = logging.LogRecord("faas.test", logging.WARNING, __file__, 1, message, (), None)
    for name, value in extra.items():
        setattr(record, name, value)
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_has_time_level_logger_and_message():
    said = line()
    assert (said["level"], said["logger"], said["message"]) == ("warning", "faas.test", "said")
    assert said["time"].endswith("Z")


def test_bound_fields_are_in_every_line_inside_and_in_none_outside():
    with logs.bind(invocation_id="i"), logs.bind(attempt=2):
        assert {"invocation_id": "i", "attempt": 2}.items() <= line().items()
    assert "invocation_id" not in line()


def test_fields_of_one_thread_are_not_anothers():
    seen = []
    with logs.bind(invocation_id="i"):
        thread = threading.Thread(target=lambda: seen.append(line()))
        thread.start()
        thread.join()
    assert "invocation_id" not in seen[0]


def test_user_text_stays_inside_its_line():
    assert line("a\r\nb\x1b[31m\ud800")["message"] == "a\r\nb\x1b[31m\ud800"


def test_extra_fields_and_exceptions_are_kept():
    try:
        raise ValueError("no")
    except ValueError:
        said = line(fields={"count": 3}, exc_info=sys.exc_info())
    assert said["count"] == 3
    assert "ValueError: no" in said["exception"]
