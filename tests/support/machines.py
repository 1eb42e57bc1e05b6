"""A laptop and a server with a cable between them, and ssh (network namespaces)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.machine import require_root
from tests.support.program import Terminal, environment, until

SERVER = "10.213.77.2"
_LAPTOP = "10.213.77.1"


class Machines:
    """The two, with a key that opens the server to the laptop."""

    def __init__(self, folder: Path) -> None:
        """Take a folder for keys and settings."""
        self._folder = folder
        self._names = [f"hl{os.getpid()}{side}" for side in ("l", "s")]
        self._running: list[subprocess.Popen[str]] = []
        self.config = folder / "ssh_config"

    def start_on_laptop(self, *command: str) -> subprocess.Popen[str]:
        """Start a program that ends with the machines."""
        return self._start(self._on_laptop(*command))

    def python_on_laptop(self, source: str, *arguments: str) -> str:
        """Run Python source to its end and return what it prints."""
        words = self._on_laptop(sys.executable, "-c", source, *arguments)
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ssh(self, *options: str, command: str) -> Terminal:
        """Sit at the laptop's terminal and run a command on the server."""
        words = self._ssh("-tt", *options, command=command)
        return Terminal(environ=environment(None, None), command=words)

    def run_ssh(
        self, *options: str, command: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the server from the laptop, as a script does: without a terminal."""
        words = self._ssh(*options, command=command)
        return subprocess.run(words, input=stdin or "", capture_output=True, text=True, timeout=60)

    def _ssh(self, *options: str, command: str) -> list[str]:
        return self._on_laptop("ssh", "-F", str(self.config), *options, f"root@{SERVER}", command)

    def _on_laptop(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self._names[0], *command]

    def start(self) -> None:
        """Connect the machines and start the server's sshd."""
        laptop, server = self._names
        for name in self._names:
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        cable = [f"{name[-8:]}0" for name in self._names]
        ends = (cable[0], "type", "veth", "peer", cable[1], "netns", server)
        _run("ip", "-n", laptop, "link", "add", *ends)
        for name, end, address in zip(self._names, cable, (_LAPTOP, SERVER), strict=True):
            _run("ip", "-n", name, "address", "add", f"{address}/30", "dev", end)
            _run("ip", "-n", name, "link", "set", end, "up")
        self._write_keys()
        sshd = ["/usr/sbin/sshd", "-D", "-e", "-E", "/dev/null", "-f"]
        self._start(["ip", "netns", "exec", server, *sshd, str(self._folder / "sshd_config")])
        until(lambda: self.run_ssh(command="true").returncode == 0, wanted="answer of sshd")

    def stop(self) -> None:
        """End everything that runs there, and take the machines apart."""
        for name in self._names:
            pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
            for pid in pids.stdout.split():
                subprocess.run(["kill", "-9", pid], capture_output=True)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        for process in self._running:
            process.communicate()

    def _write_keys(self) -> None:
        folder = self._folder
        for name in ("host", "user"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        host_key = (folder / "host.pub").read_text()
        (folder / "known_hosts").write_text(f"{SERVER} {host_key}")
        (folder / "sshd_config").write_text(
            f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nPidFile none\n"
            "UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        )
        self.config.write_text(
            f"IdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile "
            f"{folder}/known_hosts\nBatchMode yes\nExitOnForwardFailure yes\n"
        )

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        null, pipe, same = subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT
        process = subprocess.Popen(command, stdin=null, stdout=pipe, stderr=same, text=True)
        self._running.append(process)
        return process


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def two_machines(folder: Path) -> Iterator[Machines]:
    """Set them up, or skip the test where that is not possible."""
    require_root("ip", "ssh", "ssh-keygen", "/usr/sbin/sshd")
    Path("/run/sshd").mkdir(exist_ok=True)
    machines = Machines(folder)
    try:
        try:
            machines.start()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error}")
        yield machines
    finally:
        machines.stop()
