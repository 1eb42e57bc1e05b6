"""Containers of the real Docker and Podman, of files of this machine alone: no registry is asked.

Each has images, containers and control groups of its own, and touches none that are here.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.machine import cgroups_swept, require_root
from tests.support.program import until

LIMIT = 300  # seconds, against a hang
LINKED = ("bin", "sbin", "lib", "lib64")
# A daemon uses the machine's containerd, settings, key and systemd if it finds them: here it finds
# none. It ends when the tests do, however they end.
_ALONE = """
mount -t tmpfs none /run
mkdir -p /etc/docker
mount -t tmpfs none /etc/docker
exec setpriv --pdeathsig TERM dockerd --exec-opt native.cgroupdriver=cgroupfs --bridge=none \\
    --iptables=false --ip6tables=false --storage-driver=vfs "$@"
"""
_PODMAN = """
    --root={0}/root --runroot={0}/run --tmpdir={0}/tmp --runtime=runc --runtime-flag=root={0}/oci
    --cgroup-manager=cgroupfs --storage-driver=vfs --events-backend=file
"""
_PASSWD = "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n"


class Engine(NamedTuple):
    """The client of one kind, with the words that lead to what is its own.

    `running` are the options of `run` without which nothing runs in a sandbox.
    """

    words: tuple[str, ...]
    own: Path
    running: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.words[0]

    def ask(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [*self.words, *words]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=LIMIT)

    def load(self, image: str, root: Path) -> None:
        """Make an image of all that is in a folder."""
        words = ["tar", "--numeric-owner", "-C", str(root), "-c", "."]
        packed = subprocess.run(words, capture_output=True, check=True)
        done = self.ask("import", "-", image, stdin=packed.stdout)
        assert done.returncode == 0, done.stderr

    def start(self, name: str, image: str, *options: str) -> None:
        """Run a container that does nothing, or skip the test where that is not possible."""
        where = ("run", "-d", "--name", name, *self.running, *options)
        started = self.ask(*where, image, "sleep", "infinity")
        if started.returncode:
            self.ask("rm", "-f", name)
            pytest.skip(f"no container can be started here: {started.stderr.decode()[-200:]}")

    def client_in(self, folder: Path) -> None:
        """Put a client of this name into a folder, for PATH, that knows only what is its own."""
        real = (shutil.which(self.name) or "", *self.words[1:])
        client = folder / self.name
        client.write_text(f'#!/bin/sh\nexec {" ".join(real)} "$@"\n')
        client.chmod(0o755)


@contextmanager
def _own_folder(kind: str) -> Iterator[Path]:
    """A folder for all that is its own (sockets must have short names); it is removed."""
    own = Path(tempfile.mkdtemp(prefix=f"hl-{kind}-", dir="/tmp"))
    try:
        with cgroups_swept(own.name):
            yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


@contextmanager
def docker() -> Iterator[Engine]:
    """A Docker daemon, or skip the test where that is not possible."""
    require_root("docker", "dockerd", "setpriv", "unshare")
    with _own_folder("docker") as own:
        engine = Engine(("docker", "-H", f"unix://{own}/sock"), own, ("--network", "host"))
        kept = [f"--{name}={own}/{name}" for name in ("data-root", "exec-root", "pidfile")]
        words = ["unshare", "-m", "sh", "-euc", _ALONE, "sh", *engine.words[1:], *kept]
        log = own / "log"
        with open(log, "wb") as told:
            daemon = subprocess.Popen(
                [*words, f"--cgroup-parent=/{own.name}"], stdout=told, stderr=told
            )
        try:
            until(lambda: daemon.poll() is not None or not engine.ask("info").returncode, LIMIT)
            if daemon.poll() is not None:
                said = log.read_text().strip().splitlines()[-1:]
                pytest.skip(f"no docker daemon can be started here: {said}")
            yield engine
        finally:
            _remove_all(engine)
            daemon.terminate()
            daemon.wait(LIMIT)


@contextmanager
def podman() -> Iterator[Engine]:
    """Podman, which needs no daemon; with limits that a sandbox does not forbid to set."""
    require_root("podman", "runc")
    with _own_folder("podman") as own:
        limits = [f"--ulimit={name}=1024:1024" for name in ("nofile", "nproc")]
        running = ("--network=none", f"--cgroup-parent=/{own.name}", *limits)
        engine = Engine(("podman", *_PODMAN.format(own).split()), own, running)
        try:
            yield engine
        finally:
            _remove_all(engine)
            # What watched over a container ends after it, and its group is in use until then.
            groups = f"*/{own.name}/**/cgroup.procs"
            until(lambda: not any(p.read_text() for p in Path("/sys/fs/cgroup").glob(groups)))


ENGINES: dict[str, Callable[[], AbstractContextManager[Engine]]] = {
    "docker": docker,
    "podman": podman,
}


def _remove_all(engine: Engine) -> None:
    if names := engine.ask("ps", "-aq").stdout.decode().split():
        engine.ask("rm", "-f", *names)


def empty_root(root: Path) -> Path:
    """Make empty folders, and links where this machine has links, for `/usr` to be mounted."""
    for name in ("usr", "etc", "tmp", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    for path in (Path("/", name) for name in LINKED if Path("/", name).is_symlink()):
        (root / path.name).symlink_to(path.readlink())
    return root


def _with_people(root: Path) -> Path:
    (root / "tmp").chmod(0o1777)
    (root / "etc" / "passwd").write_text(_PASSWD)
    for name, owner in (("root", 0), ("home", 0), ("home/ada", 1000)):
        (root / name).mkdir(mode=0o755)
        shutil.chown(root / name, owner, owner)
    return root


def debian_root(root: Path) -> Path:
    """Make what with this machine's `/usr` is a Debian with two people."""
    return _with_people(empty_root(root))


def busybox_root(root: Path) -> Path:
    """Make a system with BusyBox and two people; skips the test where it is not installed."""
    busybox = _static_busybox()
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for name in {*listed.stdout.split()} - {"busybox"}:
        (root / "bin" / name).symlink_to("busybox")
    return _with_people(root)


def bare_root(root: Path) -> Path:
    """Make a system with one program, which waits: there is no sh."""
    (root / "bin").mkdir(parents=True)
    shutil.copy(_static_busybox(), root / "bin" / "sleep")
    return root


def _static_busybox() -> str:
    found = shutil.which("busybox")
    if found is None or b"ld-linux" in Path(found).read_bytes()[:4096]:
        pytest.skip("not installed: a static busybox")
    return found
