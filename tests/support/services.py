"""Programs that run others without a terminal: cron and systemd, the real ones, once each."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.machine import require_root
from tests.support.program import Outcome, until

# However the tests end, the service does too.
_PRIVATELY = ("setpriv", "--pdeathsig", "TERM", "unshare", "-m")
# Nothing of this machine's own jobs may run: cron sees none, and believes that it has just booted.
_CRON = """
mount -t tmpfs none /run
mount --bind "$1" /etc/cron.d
mount --bind /dev/null /etc/crontab
mount -t tmpfs none /var/spool/cron
exec cron -f
"""
# A manager takes every process of its control group to be its own: it gets a group to itself, and
# sees no other.
_SYSTEMD = r"""
mount -t tmpfs none /run
mount --bind -o ro /etc /etc
[ ! -e /dev/console ] || mount --bind /dev/null /dev/console
mkdir -p /run/systemd/system /run/groups
mount -t cgroup2 none /run/groups
mkdir "$2"
sh -euc 'echo $$ > "$2/cgroup.procs"; exec unshare -C $4 sh -euc '\''
mount -t cgroup2 none /sys/fs/cgroup
exec "$1" $2 --log-target=null --unit=try.service
'\'' sh "$1" "$3"' sh "$1" "$2" "$3" "${4:-}" &
manager=$!
trap : TERM
wait || :
kill -9 $manager $(find "$2" -name cgroup.procs -exec cat {} +) || :
for try in 1 2 3 4 5 6 7 8 9; do
    find "$2" -depth -type d -exec rmdir {} + 2>/dev/null && break
    sleep 0.1
done
"""


class Service:
    """Runs commands in a folder's files; what they print lands there."""

    program: str

    def __init__(self, folder: Path) -> None:
        """Take an empty folder; skips the test where the program cannot be run."""
        require_root(self.program, "setpriv", "unshare")
        self.folder = folder

    def _in_private(self, script: str, *arguments: str, environ: dict[str, str]) -> Outcome:
        """Run the service, with mounts of its own, until the command has ended."""
        ended = self.folder / "exit"
        ended.unlink(missing_ok=True)

        def is_told() -> bool:
            return ended.exists() and bool(ended.read_text().strip())

        command = [*_PRIVATELY, "sh", "-euc", script, "sh", *arguments]
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        service = subprocess.Popen(
            command, stdin=null, stdout=null, stderr=pipe, env=environ, start_new_session=True
        )
        try:
            until(lambda: is_told() or service.poll() is not None, 30, "end of the command")
            if not is_told() and service.stderr:
                pytest.skip(f"it cannot run here: {service.stderr.read().decode()[-200:]}")
        finally:
            service.terminate()
            with suppress(subprocess.TimeoutExpired):
                service.wait(5)
            with suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGKILL)
            service.communicate()
        texts = [(self.folder / name).read_text() for name in ("out", "err")]
        return Outcome(int(ended.read_text()), *texts)

    def _script(self, words: Sequence[str], environ: dict[str, str], stdin: Path | None) -> Path:
        """Write a script that runs the command, and at last says how it ended."""
        settings = [f"export {name}={shlex.quote(environ[name])}" for name in environ]
        files = {name: shlex.quote(str(self.folder / name)) for name in ("out", "err", "exit")}
        line = f"{shlex.join(words)} > {files['out']} 2> {files['err']}"
        if stdin:
            line += f" < {shlex.quote(str(stdin))}"
        path = self.folder / "script"
        path.write_text("\n".join(["#!/bin/sh", *settings, line, f"echo $? > {files['exit']}", ""]))
        path.chmod(0o755)
        return path


class Cron(Service):
    """Debian's cron: an `@reboot` line runs at once."""

    program = "cron"

    def run(self, words: Sequence[str], environ: dict[str, str], stdin: Path | None) -> Outcome:
        """Run one command to its end."""
        tables = self.folder / "cron.d"
        tables.mkdir(exist_ok=True)
        script = self._script(words, environ, stdin)
        (tables / "try").write_text(f"@reboot root {script}\n")
        return self._in_private(_CRON, str(tables), environ={"PATH": os.environ["PATH"]})


class Systemd(Service):
    """systemd as a user's manager: a unit whose standard input is /dev/null, or a file."""

    program = "/lib/systemd/systemd"
    kind: tuple[str, ...] = ("--user",)

    def run(self, words: Sequence[str], environ: dict[str, str], stdin: Path | None) -> Outcome:
        """Run one command to its end."""
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
        group = f"/run/groups/headless-login-{os.getpid()}"
        return self._in_private(_SYSTEMD, self.program, group, *self.kind, environ=settings)


class SystemdAsInit(Systemd):
    """systemd as the first process of a system: a unit that has not even $HOME."""

    kind = ("--system", "-p -u -i --fork --kill-child --mount-proc")
