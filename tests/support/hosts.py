"""Other machines that ssh reaches: a real sshd on loopback, with keys and settings of its own.

Each host is a name in the settings of the client, which is found first in PATH and knows nothing of
the user's own. A host's Codex folder is a folder of the test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from getpass import getuser
from pathlib import Path

import pytest

from tests.support.listening import free_port
from tests.support.program import until

_SSHD = "/usr/sbin/sshd"
# Stands between client and server: `limit` bytes go up, then the connection is cut; `pause` seconds
# before each piece of `piece` bytes.
_RELAY = """
import os, select, socket, sys, time
port, limit, piece, pause = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
server = socket.create_connection(("127.0.0.1", port))
while True:
    for ready in select.select([0, server], [], [])[0]:
        if ready == 0:
            chunk = os.read(0, min(piece, limit))
            time.sleep(pause)
            limit -= len(chunk)
            if not chunk:
                sys.exit()
            server.sendall(chunk)
            if not limit:
                sys.exit()
        else:
            chunk = server.recv(piece)
            if not chunk:
                sys.exit()
            os.write(1, chunk)
"""
_FAR = 10**9  # bytes; no limit


class Hosts:
    """The hosts, by the names that `ssh` knows."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        """`ports` of the servers: `plain`, and `fish` with a login shell of that kind."""
        self.folder = folder
        self._ports = ports
        self._relay = folder / "relay.py"
        self._blocks: list[str] = []
        self._homes = folder / "hosts"
        self._defaults = [
            f"User {getuser()}",
            "IdentitiesOnly yes",
            "StrictHostKeyChecking yes",
            f"UserKnownHostsFile {folder}/known_hosts",
            "GlobalKnownHostsFile /dev/null",
        ]

    def begin(self, homes: Path) -> None:
        """Forget all hosts; the folders of new ones are in this one."""
        self._homes, self._blocks = homes, []

    def home(self, name: str) -> Path:
        """The Codex folder of a host."""
        return self._homes / name

    def auth_file(self, name: str) -> Path:
        return self.home(name) / "auth.json"

    def path(self, environ: dict[str, str]) -> dict[str, str]:
        """Return an environment in which `ssh` is this one."""
        return environ | {"PATH": f"{self.folder / 'bin'}:{environ['PATH']}"}

    def add(self, name: str, *settings: str, port: str = "plain", anew: bool = False) -> str:
        """Add a host with settings for the client, or do so `anew`; returns its target."""
        if anew:
            self._blocks = [each for each in self._blocks if not each.startswith(f"Host {name}\n")]
        if not any(each.startswith("IdentityFile") for each in settings):  # these add up
            settings = (*settings, f"IdentityFile {self.folder}/key")
        lines = [*settings, f"SetEnv CODEX_HOME={self.home(name)}", "HostName 127.0.0.1"]
        self._blocks.append(f"Host {name}\n  Port {self._ports[port]}\n  " + "\n  ".join(lines))
        # The first value counts: what a host says goes before what holds for all.
        text = "\n".join([*self._blocks, "Host *", *self._defaults, ""])
        (self.folder / "ssh_config").write_text(text)
        return f"ssh://{name}"

    def add_behind(
        self, name: str, *, limit: int = _FAR, piece: int = 65536, pause: float = 0.0
    ) -> str:
        """Add a host that is reached by a slow link, or one that is cut after so many bytes."""
        words = (sys.executable, self._relay, self._ports["plain"], limit, piece, pause)
        return self.add(name, f"ProxyCommand {' '.join(map(str, words))}")


@contextmanager
def hosts_in(folder: Path) -> Iterator[Hosts]:
    """Run the servers, or skip the test where that is not possible."""
    if missing := [each for each in ("ssh", "ssh-keygen", _SSHD) if not shutil.which(each)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    for name in ("key", "other"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    for name in ("bin", "hosts"):
        (folder / name).mkdir()
    (folder / "relay.py").write_text(_RELAY)
    client = folder / "bin" / "ssh"
    client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    client.chmod(0o755)
    ports = {"plain": free_port(), "fish": free_port()}
    with ExitStack() as running:
        for kind, port in ports.items():
            running.enter_context(_server(folder, kind, port))
        _write_known_hosts(folder, ports)
        yield Hosts(folder, ports)


def _write_known_hosts(folder: Path, ports: dict[str, int]) -> None:
    """Write the key of the servers, and in another file a wrong one."""
    for file, key in (("known_hosts", "key"), ("wrong_hosts", "other")):
        public = " ".join((folder / f"{key}.pub").read_text().split()[:2])
        lines = [f"[127.0.0.1]:{port} {public}\n" for port in ports.values()]
        (folder / file).write_text("".join(lines))


@contextmanager
def _server(folder: Path, kind: str, port: int) -> Iterator[None]:
    settings = folder / f"sshd_{kind}"
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder}/key",
        f"AuthorizedKeysFile {folder}/key.pub",
        "PidFile none",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "MaxStartups 100",
        "AcceptEnv CODEX_HOME",
        f"SetEnv HOME={folder}/hosts",
    ]
    if kind == "fish":  # as if it were the login shell of the user
        lines.append('ForceCommand echo Welcome, stranger.; fish -c "$SSH_ORIGINAL_COMMAND"')
    settings.write_text("\n".join([*lines, ""]))
    words = [_SSHD, "-D", "-e", "-f", str(settings)]
    with (folder / f"log_{kind}").open("wb") as log:
        server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=log)
    try:
        until(lambda: b"listening" in (folder / f"log_{kind}").read_bytes(), wanted="sshd")
        yield
    finally:
        server.terminate()
        server.wait()
