"""A machine whose /etc is its own (a private mount namespace), so that Codex obeys its policy."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.codex import codex_environment, require_codex
from tests.support.machine import require_root

_MOUNT = """
ip link set lo up
# A network on which nobody answers, where there can be one.
ip link add dead type veth peer swallow && ip link set dead up && ip link set swallow up || true
ip -6 address add fd00:dead::1/64 dev dead nodad || true
mount --make-rprivate /
mount --bind "$1" /etc
echo ready
exec sleep infinity
"""


class OwnEtc:
    """The machine: what lies in `policy` is its /etc/codex."""

    def __init__(self, pid: int, etc: Path, folder: Path) -> None:
        """`pid` is a process in its namespaces, `etc` its /etc as it is seen from outside."""
        self._enter = ["nsenter", "-t", str(pid), "-m", "-n", "env", "-C", str(folder)]
        self.folder = folder
        self.etc = etc
        self.policy = etc / "codex"

    def set_policy(self, files: Mapping[str, str]) -> None:
        """Replace all that is in /etc/codex."""
        shutil.rmtree(self.policy, ignore_errors=True)
        self.policy.mkdir()
        for name, content in files.items():
            (self.policy / name).write_text(content)

    def run(
        self,
        command: list[str],
        environ: Mapping[str, str],
        *,
        stdin: str = "",
        folder: Path | None = None,
    ) -> tuple[int, str]:
        """Run a command to its end in a folder; returns its exit code and all that it says."""
        enter = [*self._enter[:-1], str(folder or self.folder)]
        done = subprocess.run(
            [*enter, *command],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(environ),
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    @contextmanager
    def started(
        self, command: list[str], environ: Mapping[str, str], folder: Path | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a program there, with pipes for its input and output; it is ended at the end."""
        enter = [*self._enter[:-1], str(folder or self.folder)]
        with subprocess.Popen(
            [*enter, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(environ),
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def codex(
        self,
        version: str,
        *arguments: str,
        codex_home: Path,
        environ: Mapping[str, str] | None = None,
        stdin: str = "",
        folder: Path | None = None,
    ) -> tuple[int, str]:
        """Run the real Codex there."""
        environ = codex_environment(codex_home, self.folder) | dict(environ or {})
        command = [str(require_codex(version)), *arguments]
        return self.run(command, environ, stdin=stdin, folder=folder)


@contextmanager
def own_etc(folder: Path) -> Iterator[OwnEtc]:
    """Set such a machine up, or skip the test where that is not possible."""
    require_root("unshare", "nsenter", "ip")
    etc = folder / "etc"
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
    (etc / "codex").mkdir(exist_ok=True)
    command = ["unshare", "-m", "-n", "sh", "-euc", _MOUNT, "sh", str(etc)]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=null, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            (folder / "work").mkdir()
            yield OwnEtc(process.pid, etc, folder / "work")
        finally:
            process.kill()
