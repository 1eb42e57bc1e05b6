"""Programs that run others without a terminal: cron, systemd and Docker, the real ones."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.containers import LIMIT, LINKED, Engine, docker, empty_root
from tests.support.machine import cgroups_swept, require_root
from tests.support.program import Outcome

# The service has mounts and processes of its own; they end with the shell that starts it, and
# however the tests end.
_PRIVATELY = "setpriv --pdeathsig KILL unshare -m -p --fork --kill-child --mount-proc sh -euc"
# $1 is where the command tells its exit code.
_UNTIL_TOLD = 'until [ -s "$1" ]; do kill -0 $!; sleep 0.05; done\n'
# Nothing of this machine's own jobs may run: cron sees none, and believes that it has just booted.
_CRON = """
mount -t tmpfs none /run
mount --bind "$2" /etc/cron.d
mount --bind /dev/null /etc/crontab
mount -t tmpfs none /var/spool/cron
cron -f &
"""
# A manager takes every process of its control group to be its own: it gets a group to itself, and
# sees no other.
_SYSTEMD = r"""
mount -t tmpfs none /run
mount --bind -o ro /etc /etc
[ ! -e /dev/console ] || mount --bind /dev/null /dev/console
mkdir -p /run/systemd/system /run/groups
mount -t cgroup2 none /run/groups
mkdir "/run/groups/$2"
sh -euc 'echo $$ > "/run/groups/$1/cgroup.procs"; exec unshare -C $4 sh -euc '\''
mount -t cgroup2 none /sys/fs/cgroup
exec "$1" $2 --log-target=null --unit=try.service
'\'' sh "$2" "$3"' sh "$2" "$3" "$4" "$5" &
"""


class Service:
    """Runs commands in a folder's files; what they print lands there."""

    program: str

    def __init__(self, folder: Path) -> None:
        """Take an empty folder; skips the test where the program cannot be run."""
        require_root(self.program, "setpriv", "unshare")
        self.folder = folder

    def _in_private(self, script: str, *arguments: str, environ: dict[str, str]) -> Outcome:
        """Run the service until the command has ended."""
        ended = self.folder / "exit"
        ended.unlink(missing_ok=True)
        words = [*_PRIVATELY.split(), script + _UNTIL_TOLD, "sh", str(ended), *arguments]
        service = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, env=environ, timeout=LIMIT
        )
        if not ended.exists():
            pytest.skip(f"it cannot run here: {service.stderr.decode()[-200:]}")
        texts = [(self.folder / name).read_text() for name in ("out", "err")]
        return Outcome(int(ended.read_text()), *texts)

    def _script(self, words: Sequence[str], environ: dict[str, str], stdin: Path | None) -> Path:
        """Write a script that runs the command, and at last says how it ended."""
        settings = [f"export {name}={shlex.quote(environ[name])}" for name in environ]
        out, err, ended = (shlex.quote(str(self.folder / name)) for name in ("out", "err", "exit"))
        source = f" < {shlex.quote(str(stdin))}" if stdin else ""
        line = f"{shlex.join(words)} > {out} 2> {err}{source}"
        path = self.folder / "script"
        path.write_text("\n".join(["#!/bin/sh", *settings, line, f"echo $? > {ended}", ""]))
        path.chmod(0o755)
        return path


class Cron(Service):
    """Debian's cron: an `@reboot` line runs at once."""

    program = "cron"

    def run(self, words: Sequence[str], environ: dict[str, str], stdin: Path | None) -> Outcome:
        tables = self.folder / "cron.d"
        tables.mkdir(exist_ok=True)
        script = self._script(words, environ, stdin)
        (tables / "try").write_text(f"@reboot root {script}\n")
        return self._in_private(_CRON, str(tables), environ={"PATH": os.environ["PATH"]})


class Systemd(Service):
    """systemd as a user's manager: a unit whose standard input is /dev/null, or a file."""

    program = "/lib/systemd/systemd"
    kind = ("--user", "")

    def run(self, words: Sequence[str], environ: dict[str, str], stdin: Path | None) -> Outcome:
        runtime, units = self.folder / "run", self.folder / "systemd" / "user"
        runtime.mkdir(mode=0o700, exist_ok=True)
        units.mkdir(parents=True, exist_ok=True)
        script = self._script(words, environ, None)
        given = [f"StandardInput=file:{stdin}"] if stdin else []
        unit = ["[Unit]", "DefaultDependencies=no", "[Service]", "Type=oneshot", *given]
        (units / "try.service").write_text("\n".join([*unit, f"ExecStart={script}", ""]))
        settings = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(self.folder),
            "SYSTEMD_UNIT_PATH": f"{units}:",
            "container": "tests",  # a system's manager leaves the kernel's settings alone
        }
        group = f"headless-login-{os.getpid()}"
        with cgroups_swept(group):
            return self._in_private(_SYSTEMD, group, self.program, *self.kind, environ=settings)


class SystemdAsInit(Systemd):
    """systemd as the first process of a system: a unit that has not even $HOME."""

    kind = ("--system", "-p -u -i --fork --kill-child --mount-proc")


PROJECT = Path(__file__).resolve().parent.parent.parent


class Container:
    """A running container on a Docker daemon of its own."""

    def __init__(self, engine: Engine, shared: Path) -> None:
        """`shared` is a folder that the container sees."""
        self.folder = shared
        self._engine = engine

    def command(self, how: str, words: Sequence[str], environ: dict[str, str]) -> list[str]:
        """Return a command line that runs `words` in the container, by `docker exec` as `how`."""
        settings = [word for name in environ for word in ("-e", f"{name}={environ[name]}")]
        return [*self._engine.words, *how.split(), *settings, "place", *words]

    def run(self, words: Sequence[str], environ: dict[str, str], stdin: Path | None) -> Outcome:
        """Run a command to its end; without a file for its input as `docker exec` does it."""
        command = self.command("exec -i" if stdin else "exec", words, environ)
        with open(stdin or os.devnull) as file:
            done = subprocess.run(command, stdin=file, capture_output=True, timeout=LIMIT)
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def container(shared: Path) -> Iterator[Container]:
    """A container that shares a folder, the network and, to read, the programs of this machine."""
    programs = {"/usr", "/etc", sys.base_prefix, sys.prefix, str(PROJECT)}
    programs |= {f"/{name}" for name in LINKED if not Path("/", name).is_symlink()}
    seen = sorted(path for path in programs if not path.startswith("/usr/"))
    volumes = [f"{shared}:{shared}", *(f"{path}:{path}:ro" for path in seen)]
    with docker() as engine:
        engine.load("image", empty_root(engine.own / "files"))
        engine.start("place", "image", *(word for path in volumes for word in ("-v", path)))
        yield Container(engine, shared)
