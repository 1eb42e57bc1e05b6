"""The real Codex, as npm installs it: what it makes of our files is what counts."""

from __future__ import annotations

import json
import os
import platform
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

CODEX_VERSIONS = ("0.169.0", "0.20.0")

# Not every request of Codex goes where auth.json points: `logout` and the list of models go to
# OpenAI. A proxy nobody serves ends those at once, on this machine.
_LOOPBACK_ONLY = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}


def find_codex(version: str) -> Path | None:
    """Return the installed Codex of this version, the binary itself rather than its wrapper."""
    modules = _cache() / f"codex-{version}" / "node_modules"
    for candidate in (*_native_binaries(modules), modules / ".bin" / "codex"):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None


def require_codex(version: str) -> Path:
    """Return the installed Codex of this version, or skip the test."""
    found = find_codex(version)
    if found is None:
        pytest.skip(
            f"the real Codex {version} is not installed: run scripts/install-codex (needs npm)"
        )
    return found


def run_codex(
    version: str,
    *args: str,
    codex_home: Path,
    stdin: str | None = None,
    timeout: float = 30,
    extra: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Codex to its end, with `extra` as the only variables beyond a clean environment."""
    codex = require_codex(version)
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [str(codex), *args],
            input=stdin or "",
            env=codex_environment(codex_home, Path(home)) | dict(extra or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def codex_environment(codex_home: Path, home: Path) -> dict[str, str]:
    """Return the environment for Codex: nothing of this machine shines in, nothing gets out."""
    return {
        "PATH": os.environ["PATH"],  # the wrapper looks for node
        "HOME": str(home),
        "CODEX_HOME": str(codex_home),
        "LANG": "C.UTF-8",
        **_LOOPBACK_ONLY,
    }


class AppServer:
    """`codex app-server`, the only part of Codex that refreshes a sign-in on demand."""

    def __init__(self, codex_home: Path, *, version: str = "0.169.0", timeout: float = 30) -> None:
        """Prepare it for this folder; every answer must come within `timeout` seconds."""
        self._codex = require_codex(version)
        self._codex_home = codex_home
        self._timeout = timeout
        self._requests = 0
        self._buffer = b""
        self._answers: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> AppServer:
        """Start it and exchange greetings."""
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            # A file, because nobody empties a pipe while an answer is awaited.
            self._stderr = stack.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                [str(self._codex), "app-server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=codex_environment(self._codex_home, home),
            )
            stack.callback(self._stop)
            client = {"name": "headless_login_tests", "title": "tests", "version": "0"}
            self.answer(self._ask("initialize", {"clientInfo": client}))
            self._send({"method": "initialized"})
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def get_auth_status(self, refresh: bool = True) -> dict[str, Any]:
        """Return `{authMethod, authToken, requiresOpenaiAuth}`, after a refresh if wanted.

        A refresh that failed is not an error here: `authToken` is the old one, or None.
        """
        return self.answer(self.ask_auth_status(refresh))

    def ask_auth_status(self, refresh: bool = True) -> int:
        """Ask without waiting, for a test that acts meanwhile; returns the number to answer()."""
        return self._ask("getAuthStatus", {"includeToken": True, "refreshToken": refresh})

    def answer(self, number: int) -> dict[str, Any]:
        """Return the result of one request, whatever else arrives before it."""
        deadline = time.monotonic() + self._timeout
        while number not in self._answers:
            assert self._read(deadline), f"no answer from codex app-server: {self._complaints()}"
        message = self._answers.pop(number)
        assert "error" not in message, f"codex app-server refused: {message['error']}"
        result: dict[str, Any] = message["result"]
        return result

    def _ask(self, method: str, params: dict[str, Any]) -> int:
        self._requests += 1
        self._send({"id": self._requests, "method": method, "params": params})
        return self._requests

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError):  # why it died stands in what answer() then raises
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self, deadline: float) -> bool:
        """Take in what it has written, one JSON object a line; False at its end or the deadline."""
        assert self._process.stdout
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        chunk = os.read(descriptor, 65536)
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        messages = [json.loads(line) for line in lines]
        # Requests of its own and notifications carry a method: nobody here listens to them.
        self._answers |= {each["id"]: each for each in messages if "method" not in each}
        return bool(chunk)

    def _complaints(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def _stop(self) -> None:
        """End it as its clients do, by closing its input; by force if that takes too long."""
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def _cache() -> Path:
    own = os.environ.get("HEADLESS_LOGIN_CODEX_CACHE")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(caches) / "headless-login"


def _native_binaries(modules: Path) -> Iterator[Path]:
    """Yield where this machine's binary may lie: newer versions give it a package of its own."""
    machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    system = "apple-darwin" if sys.platform == "darwin" else "unknown-linux-musl"
    triple = f"{machine}-{system}"
    yield from modules.glob(f"@openai/codex-*/vendor/{triple}/bin/codex")
    yield modules / "@openai" / "codex" / "bin" / f"codex-{triple}"
