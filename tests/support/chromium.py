"""A real Chromium without a window, driven by its own protocol over a pair of pipes."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

BINARY = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_FLAGS = (
    *("--headless", "--no-sandbox", "--no-first-run", "--no-proxy-server", "--disable-gpu"),
    *("--disable-quic", "--disable-dev-shm-usage", "--disable-sync", "--disable-component-update"),
    *("--disable-background-networking", "--remote-debugging-pipe"),
)

Event = dict[str, Any]


class Chromium:
    """One page in a fresh profile; `events` are all that the browser has told so far."""

    def __init__(self, profile: Path) -> None:
        """Start it with a profile folder of its own."""
        assert BINARY
        told, self._commands = os.pipe()
        self._answers, tells = os.pipe()
        # The browser wants its pipes as descriptors 3 and 4, whatever ours are.
        script = f'exec "$@" 3<&{told} 4>&{tells} </dev/null >/dev/null 2>&1'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", script, "sh", BINARY, *_FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(told, tells),
            env={"PATH": os.environ["PATH"], "HOME": str(profile), "LANG": "C.UTF-8"},
        )
        os.close(told)
        os.close(tells)
        self._buffer = b""
        self._last = 0
        self._session: str | None = None
        self.events: list[Event] = []

    def __enter__(self) -> Self:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Audits", "Runtime"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send one command and return its result."""
        self._last = number = self._last + 1
        message: Event = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer = self._read_until(lambda told: told.get("id") == number)
        assert "error" not in answer, answer
        return dict(answer["result"])

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page, None for no value.

        What it does counts as done by a person: a page that is not touched leaves no history.
        """
        told = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, userGesture=True
        )
        return told["result"].get("value")

    def wait_for(self, method: str, timeout: float = 20) -> Event:
        """Return the next event of this kind that has not been told before."""
        return dict(self._read_until(lambda told: told.get("method") == method, timeout)["params"])

    def do(self, expression: str, until: str) -> Event:
        """Run an expression and return the first event of a kind that follows it."""
        before = len(self.told(until))
        self.evaluate(expression)
        return next(iter(self.told(until)[before:]), None) or self.wait_for(until)

    def open(self, url: str) -> None:
        """Go to an address and wait until the page that it ends at is there."""
        self.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def look(self, scheme: str, width: int, height: int) -> None:
        """Set the colour scheme and the size of the window."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def told(self, method: str) -> list[Event]:
        """Return all events of one kind."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def _read_until(self, wanted: Callable[[Event], bool], timeout: float = 20) -> Event:
        deadline = time.monotonic() + timeout
        while True:
            while b"\0" in self._buffer:
                message, _, self._buffer = self._buffer.partition(b"\0")
                told: Event = json.loads(message)
                self.events.append(told)
                if wanted(told):
                    return told
            left = deadline - time.monotonic()
            assert left > 0, "the browser does not answer"
            if select.select([self._answers], [], [], left)[0]:
                chunk = os.read(self._answers, 65536)
                assert chunk, "the browser has ended"
                self._buffer += chunk
