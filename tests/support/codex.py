"""The real Codex, as npm installs it: what it makes of our files is what counts."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import SYSTEM

CODEX_VERSIONS = (os.environ.get("HEADLESS_LOGIN_NEWEST_CODEX", "0.169.0"), "0.20.0")
NEWEST = CODEX_VERSIONS[0]

# Not every request of Codex goes where auth.json points: `logout` and the list of models go to
# OpenAI. A proxy that does not exist ends those at once, on this machine.
_LOOPBACK_ONLY = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}


def cache_folder() -> Path:
    """Return where scripts/install-codex puts what it gets from npm."""
    own = os.environ.get("HEADLESS_LOGIN_CODEX_CACHE")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(caches) / "headless-login"


def require_codex(version: str) -> Path:
    """Return the installed Codex of this version (the binary, not its wrapper), or skip."""
    windows = os.environ.get("HEADLESS_LOGIN_WINDOWS_CODEX")
    if windows and version == NEWEST:
        return Path(windows)
    if sys.platform == "win32":
        pytest.skip(f"the real Codex {version} for Windows is not installed")
    modules = cache_folder() / f"codex-{version}" / "node_modules"
    for candidate in (*_native_binaries(modules), modules / ".bin" / "codex"):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    pytest.skip(f"the real Codex {version} is not installed: run scripts/install-codex (needs npm)")


def codex_environment(codex_home: Path, home: Path) -> dict[str, str]:
    """Return the environment for Codex: nothing is inherited, and nothing leaves this machine."""
    return {
        **SYSTEM,
        "PATH": os.environ["PATH"],  # the wrapper looks for node
        "HOME": str(home),
        "CODEX_HOME": str(codex_home),
        "LANG": "C.UTF-8",
        **_LOOPBACK_ONLY,
    }


@contextmanager
def running_codex(
    codex_home: Path, *arguments: str, version: str = NEWEST, stderr: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run Codex with pipes for its input and output, at the end of which it is ended."""
    command, pipe = [str(require_codex(version)), *arguments], subprocess.PIPE
    if sys.platform == "win32":  # Wine: Codex may not write into this file, which it has locked
        (codex_home / "installation_id").write_text(str(uuid.uuid4()))
    with tempfile.TemporaryDirectory() as home:
        environ = codex_environment(codex_home, Path(home))
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=stderr, text=True, env=environ
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def run_codex(version: str, *arguments: str, codex_home: Path, stdin: str = "") -> tuple[int, str]:
    """Run Codex to its end, and return its exit code and all that it says."""
    both = subprocess.STDOUT
    with running_codex(codex_home, *arguments, version=version, stderr=both) as process:
        said, _ = process.communicate(stdin, timeout=30)
    return process.returncode, said


def refreshed_by_codex(codex_home: Path, *, forced: bool = True) -> dict[str, Any]:
    """Have `codex app-server`, the only part that refreshes on demand, refresh the sign-in.

    Without `forced` only if it is time. Returns what it then says of it: `{authMethod, authToken,
    requiresOpenaiAuth}`.
    """
    client = {"name": "headless_login_tests", "title": "tests", "version": "0"}
    with running_codex(codex_home, "app-server") as server:
        _asked(server, "initialize", {"clientInfo": client})
        _send(server, {"method": "initialized"})
        told = _asked(server, "getAuthStatus", {"includeToken": True, "refreshToken": forced})
        server.communicate(timeout=30)  # it ends as with its other clients, when its input does
    return told


def _asked(server: subprocess.Popen[str], method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the result of one request, whatever else arrives before it."""
    assert server.stdout
    _send(server, {"id": method, "method": method, "params": params})
    for line in server.stdout:
        message: dict[str, Any] = json.loads(line)
        if message.get("id") == method and "method" not in message:
            assert "error" not in message, f"codex app-server refused: {message['error']}"
            return dict(message["result"])
    raise AssertionError(f"codex app-server ended without an answer to {method}")


def _send(server: subprocess.Popen[str], message: dict[str, Any]) -> None:
    assert server.stdin
    server.stdin.write(json.dumps(message) + "\n")
    server.stdin.flush()


def _native_binaries(modules: Path) -> Iterator[Path]:
    """Yield where this machine's binary may lie: newer versions give it a package of its own."""
    machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    system = "apple-darwin" if sys.platform == "darwin" else "unknown-linux-musl"
    triple = f"{machine}-{system}"
    yield from modules.glob(f"@openai/codex-*/vendor/{triple}/bin/codex")
    yield modules / "@openai" / "codex" / "bin" / f"codex-{triple}"
