"""Two machines with a cable between them, and ssh: a laptop and a server (network namespaces)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.program import Terminal

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

    def on_laptop(self, *command: str) -> list[str]:
        """Return a command line that runs on the laptop."""
        return ["ip", "netns", "exec", self._names[0], *command]

    def start_on_laptop(self, *command: str) -> subprocess.Popen[str]:
        """Start a program that ends with the machines."""
        process = subprocess.Popen(
            self.on_laptop(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._running.append(process)
        return process

    def python_on_laptop(self, source: str, *arguments: str) -> str:
        """Run Python source to its end and return what it prints."""
        done = subprocess.run(
            self.on_laptop(sys.executable, "-c", source, *arguments),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ssh(self, *options: str, command: str, environ: dict[str, str]) -> Terminal:
        """Sit at the laptop's terminal and run a command on the server."""
        words = ["ssh", "-F", str(self.config), "-tt", *options, f"root@{SERVER}", command]
        return Terminal(environ=environ, command=self.on_laptop(*words))

    def run_ssh(
        self, *options: str, command: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the server from the laptop, as a script does: without a terminal."""
        words = ["ssh", "-F", str(self.config), *options, f"root@{SERVER}", command]
        return subprocess.run(
            self.on_laptop(*words),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self) -> None:
        """Connect the machines and start the server's sshd."""
        laptop, server = self._names
        for name in self._names:
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        cable = [f"{name[-8:]}0" for name in self._names]
        _run("ip", "-n", laptop, "link", "add", cable[0], "type", "veth", "peer", cable[1], "netns",
             server)  # fmt: skip
        for name, end, address in zip(self._names, cable, (_LAPTOP, SERVER), strict=True):
            _run("ip", "-n", name, "address", "add", f"{address}/30", "dev", end)
            _run("ip", "-n", name, "link", "set", end, "up")
        self._write_keys()
        sshd = ["ip", "netns", "exec", server, "/usr/sbin/sshd", "-D", "-e", "-f"]
        self._running.append(
            subprocess.Popen(
                [*sshd, str(self._folder / "sshd_config")],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        self._wait_for_sshd()

    def stop(self) -> None:
        """End everything that runs there, and take the machines apart."""
        for process in self._running:
            process.kill()
            process.communicate()
        for name in self._names:
            pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
            for pid in pids.stdout.split():
                subprocess.run(["kill", "-9", pid], capture_output=True, check=False)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

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

    def _wait_for_sshd(self) -> None:
        deadline = time.monotonic() + 10
        probe = self.on_laptop("ssh", "-F", str(self.config), f"root@{SERVER}", "true")
        while subprocess.run(probe, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, "the server's sshd does not answer"
            time.sleep(0.1)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def two_machines(folder: Path) -> Iterator[Machines]:
    """Set them up, or skip the test where that is not possible."""
    _require(("ip", "ssh", "ssh-keygen", "/usr/sbin/sshd"))
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


def _require(programs: Sequence[str]) -> None:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root on Linux can make network namespaces")
    if missing := [name for name in programs if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
