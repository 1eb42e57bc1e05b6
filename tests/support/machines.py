"""A laptop and a server with a cable between them, and ssh (network namespaces)."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.listening import free_port
from tests.support.machine import require_root
from tests.support.program import Terminal, environment, until

SERVER = "10.213.77.2"
_LAPTOP = "10.213.77.1"
_CLONE_NEWNET = 0x40000000


class Machines:
    """The two, with a key that opens the server to the laptop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = [f"hl{os.getpid()}{side}" for side in ("l", "s")]
        self.config = folder / "ssh_config"

    @contextmanager
    def on_laptop(self) -> Iterator[None]:
        """Have this thread, and what it starts, use the laptop's network."""
        setns = ctypes.CDLL(None).setns
        with open("/proc/self/ns/net") as own, open(f"/run/netns/{self._names[0]}") as laptop:
            assert setns(laptop.fileno(), _CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert setns(own.fileno(), _CLONE_NEWNET) == 0

    def ssh(self, *options: str, command: str) -> Terminal:
        """Sit at the laptop's terminal and run a command on the server."""
        words = self._ssh("-tt", *options, command=command)
        return Terminal(environ=environment(None, None), command=words)

    def run_ssh(self, *options: str, command: str, stdin: str = "") -> CompletedProcess[str]:
        """Run a command on the server from the laptop, as a script does: without a terminal."""
        words = self._ssh(*options, command=command)
        return subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=60)

    def _ssh(self, *options: str, command: str) -> list[str]:
        return ["ssh", "-F", str(self.config), *options, f"root@{SERVER}", command]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Connect the machines and run the server's sshd; in the end stop all that runs there."""
        try:
            self._connect()
            self._write_keys()
            sshd = f"/usr/sbin/sshd -D -E /dev/null -f {self._folder}/sshd_config"
            words = ["ip", "netns", "exec", self._names[1], *sshd.split()]
            server = subprocess.Popen(words, stdin=subprocess.DEVNULL)
            with self.on_laptop():
                until(lambda: self.run_ssh(command="true").returncode == 0, wanted="sshd")
            yield
        finally:
            for name in self._names:
                running = subprocess.run(["ip", "netns", "pids", name], stdout=subprocess.PIPE)
                subprocess.run(["kill", "-9", *running.stdout.split()], capture_output=True)
                subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        server.wait()

    def _connect(self) -> None:
        laptop, server = self._names
        try:
            for name in self._names:
                _run("ip", "netns", "add", name)
                _run("ip", "-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error}")
        ends = ("type", "veth", "peer", "cable", "netns", server)
        _run("ip", "-n", laptop, "link", "add", "cable", *ends)
        for name, address in ((laptop, _LAPTOP), (server, SERVER)):
            _run("ip", "-n", name, "address", "add", f"{address}/30", "dev", "cable")
            _run("ip", "-n", name, "link", "set", "cable", "up")

    def _write_keys(self) -> None:
        """Write settings, and one key that is the host's as well as the user's."""
        folder = self._folder
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
        (folder / "known_hosts").write_text(f"{SERVER} {(folder / 'key.pub').read_text()}")
        (folder / "sshd_config").write_text(
            f"HostKey {folder}/key\nAuthorizedKeysFile {folder}/key.pub\nPidFile none\n"
            "UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        )
        self.config.write_text(
            f"IdentityFile {folder}/key\nIdentitiesOnly yes\nUserKnownHostsFile "
            f"{folder}/known_hosts\nBatchMode yes\nExitOnForwardFailure yes\n"
        )


@contextmanager
def ssh_to_here(folder: Path) -> Iterator[Path]:
    """Run an sshd on loopback; yields the configuration in which this machine is `owner`."""
    require_root("ssh", "ssh-keygen", "/usr/sbin/sshd")
    Path("/run/sshd").mkdir(exist_ok=True)
    port, machines = free_port(), Machines(folder)
    machines._write_keys()
    with machines.config.open("a") as config:
        name = f"HostName 127.0.0.1\nPort {port}\nHostKeyAlias {SERVER}\nUser root\n"
        config.write(f"Host owner\n{name}")
    sshd = f"/usr/sbin/sshd -D -e -f {folder}/sshd_config -o ListenAddress=127.0.0.1:{port}"
    ask, null = ("ssh", "-F", str(machines.config), "owner", "true"), subprocess.DEVNULL
    with subprocess.Popen(sshd.split(), stdin=null, stdout=null, stderr=null) as server:
        try:
            until(lambda: subprocess.run(ask, stderr=null).returncode == 0, wanted="sshd")
            yield machines.config
        finally:
            server.kill()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def two_machines(folder: Path) -> Iterator[Machines]:
    """Set them up, or skip the test where that is not possible."""
    require_root("ip", "ssh", "ssh-keygen", "/usr/sbin/sshd")
    Path("/run/sshd").mkdir(exist_ok=True)
    machines = Machines(folder)
    with machines.running():
        yield machines
