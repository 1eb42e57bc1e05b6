"""A Docker daemon of our own, and a container that sees this machine's programs, read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.machine import cgroups_swept, require_root
from tests.support.program import Outcome, until

PROJECT = Path(__file__).resolve().parent.parent.parent
_NOTHING_SHARED = ("--iptables=false", "--ip6tables=false", "--bridge=none")
_NAME = "place"
# A daemon uses the machine's containerd, settings, key and systemd if it finds them: here it finds
# none. It ends when the tests do, however they end.
_ALONE = """
mount -t tmpfs none /run
mkdir -p /etc/docker
mount -t tmpfs none /etc/docker
exec setpriv --pdeathsig TERM dockerd --exec-opt native.cgroupdriver=cgroupfs "$@"
"""


class Container:
    """A running container on a daemon of its own."""

    def __init__(self, folder: Path, shared: Path) -> None:
        """Take a folder for all that the daemon keeps; sockets must have short names."""
        self._folder = folder
        self.folder = shared
        self._socket = f"unix://{folder}/sock"
        self._daemon: subprocess.Popen[bytes] | None = None

    def command(
        self, docker: Sequence[str], words: Sequence[str], environ: dict[str, str]
    ) -> list[str]:
        """Return a command line that runs `words` in the container, by `docker exec …`."""
        settings = [word for name in environ for word in ("-e", f"{name}={environ[name]}")]
        return ["docker", "-H", self._socket, *docker, *settings, _NAME, *words]

    def run(self, words: Sequence[str], environ: dict[str, str], stdin: Path | None) -> Outcome:
        """Run a command to its end; without a file for its input as `docker exec` does it."""
        options = ["exec", "-i"] if stdin else ["exec"]
        command = self.command(options, words, environ)
        with open(stdin or os.devnull) as file:
            done = subprocess.run(command, stdin=file, capture_output=True, text=True, timeout=60)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, *mounts: str) -> None:
        """Start daemon and container, or skip the test where that is not possible."""
        state = [f"--{name}={self._folder}/{name}" for name in ("data-root", "exec-root")]
        words = ["unshare", "-m", "sh", "-euc", _ALONE, "sh", "-H", self._socket, *_NOTHING_SHARED]
        words += [*state, "--storage-driver=vfs", f"--cgroup-parent=/{self._folder.name}"]
        words += [f"--pidfile={self._folder}/pid"]
        log = self._folder / "log"
        with open(log, "wb") as told:
            daemon = self._daemon = subprocess.Popen(words, stdout=told, stderr=told)
        until(lambda: daemon.poll() is not None or not self._docker("info").returncode)
        if daemon.poll() is not None:
            said = log.read_text().strip().splitlines()[-1:]
            pytest.skip(f"no docker daemon can be started here: {said}")
        self._make_image()
        volumes = [word for path in mounts for word in ("-v", path)]
        words = ["run", "-d", "--name", _NAME, "--network", "host", *volumes, "image"]
        started = self._docker(*words, "sleep", "600")
        if started.returncode:
            pytest.skip(f"no container can be started here: {started.stderr.decode()[-200:]}")

    def stop(self) -> None:
        """End both, and everything in them."""
        self._docker("rm", "-f", _NAME)
        if self._daemon:
            self._daemon.terminate()
            self._daemon.wait(20)

    def _make_image(self) -> None:
        """Make an image of empty folders, and of links where this machine has links."""
        root = self._folder / "root"
        for name in ("usr", "etc", "tmp", "proc", "sys", "dev"):
            (root / name).mkdir(parents=True)
        for name in ("bin", "lib", "lib64"):
            if os.path.islink(f"/{name}"):
                (root / name).symlink_to(os.readlink(f"/{name}"))
        packed = subprocess.run(["tar", "-C", root, "-c", "."], capture_output=True, check=True)
        self._docker("import", "-", "image", stdin=packed.stdout)

    def _docker(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = ["docker", "-H", self._socket, *words]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=60)


@contextmanager
def container(shared: Path) -> Iterator[Container]:
    """A container that shares one folder with this machine, and its network."""
    require_root("docker", "dockerd", "setpriv", "unshare")
    folder = Path(tempfile.mkdtemp(prefix="hl-docker-", dir="/tmp"))
    running = Container(folder, shared)
    programs = {"/usr", "/etc", sys.base_prefix, sys.prefix, str(PROJECT)}
    programs |= {f"/{name}" for name in ("bin", "lib", "lib64") if not os.path.islink(f"/{name}")}
    seen = sorted(path for path in programs if not path.startswith("/usr/"))
    with cgroups_swept(folder.name):
        try:
            running.start(f"{shared}:{shared}", *(f"{path}:{path}:ro" for path in seen))
            yield running
        finally:
            running.stop()
            shutil.rmtree(folder, ignore_errors=True)
