"""In the guest: a pytest plugin that sends the outcome of each test to the host as soon as it is known."""

from __future__ import annotations

import json
import os
import termios
from typing import Any

import pytest

_texts: dict[str, list[str]] = {}
_outcomes: dict[str, str] = {}

#: The host reads a serial port of 115,200 baud: the end of a long text is what says most.
_LONGEST = 12_000


def send(report: dict[str, Any]) -> None:
    """Send one report, as a line of JSON."""
    port = os.open(os.environ["REPORTS"], os.O_WRONLY | os.O_NOCTTY)
    try:
        data = json.dumps(report).encode() + b"\n"
        while data:
            data = data[os.write(port, data) :]
        termios.tcdrain(port)
    finally:
        os.close(port)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Say that a test begins: the host knows by it that this machine is alive."""
    send({"event": "begins", "node": nodeid})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Put together what setup, call and teardown say."""
    texts = _texts.setdefault(report.nodeid, [])
    if report.failed:
        _outcomes[report.nodeid] = "failed"
        texts.append(report.longreprtext)
        texts += [f"--- {title} ---\n{content}" for title, content in report.sections]
    elif report.skipped:
        _outcomes.setdefault(report.nodeid, "skipped")
        texts.append(str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext)
    if report.when == "teardown":
        outcome = _outcomes.get(report.nodeid, "passed")
        text = "\n".join(texts)[-_LONGEST:]
        send({"node": report.nodeid, "outcome": outcome, "text": text, "properties": report.user_properties})
