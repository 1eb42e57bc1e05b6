"""`push` into containers: a real Docker daemon and Podman; into pods by a stub of kubectl.

The stub stands in for a cluster, which a test cannot have: it checks the exact call, as kubectl's
manual has it, and runs the program that it is given with the sh of this machine.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from headless_login.codex.auth_file import Credentials
from tests.support.codex import NEWEST, codex_environment, require_codex
from tests.support.containers import (
    ENGINES,
    LIMIT,
    Engine,
    bare_root,
    busybox_root,
    debian_root,
)
from tests.support.machine import posix_shell
from tests.support.people import ADA, Machine, signed_in_as
from tests.support.program import assert_ended
from tests.support.stored_files import LOCKS, store

pytestmark = pytest.mark.timeout(2 * LIMIT)  # a busy daemon is no failure
ADAS = signed_in_as(ADA).content
OLD = signed_in_as(ADA, "rt_OLD").content + b" " * 200  # longer than what comes
ROOTS = {"busybox": busybox_root, "debian": debian_root, "bare": bare_root}


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Docker and Podman in turn, with the images."""
    with ENGINES[request.param]() as running:
        for image, make in ROOTS.items():
            running.load(image, make(running.own / "files" / image))
        yield running


@pytest.fixture
def signed_in(engine: Engine, machine: Machine, tmp_path: Path) -> Machine:
    """A machine with a sign-in to be copied, which finds that client."""
    store(machine.home, Credentials(ADAS))
    return _finding(machine, engine, tmp_path)


def _finding(machine: Machine, engine: Engine | None, folder: Path) -> Machine:
    machine.environ |= {"HOME": str(folder), "PATH": f"{folder}:{machine.environ['PATH']}"}
    if engine:
        engine.client_in(folder)
    return machine


class Box(NamedTuple):
    """A container: `options` of its `run`, where `{own}` is a folder of the test, `{codex}` Codex.

    `folder` is the Codex folder that has to be found, `owner` whose auth.json has to be.
    """

    image: str
    options: str
    folder: str
    owner: int = 0
    in_place: bool = False


_DEBIAN = "-v /usr:/usr:ro"
BOXES = {
    "BusyBox": Box("busybox", "", "/root/.codex"),
    "BusyBox, a user": Box("busybox", "--user 1000:1000", "/home/ada/.codex", 1000),
    "Debian": Box("debian", _DEBIAN, "/root/.codex"),
    "Debian, a user": Box(
        "debian", f"{_DEBIAN} --user 1000:1000 -e CODEX_HOME=/tmp/a/b", "/tmp/a/b", 1000
    ),
    "only read, with a volume": Box(
        "busybox",
        "--read-only --user 1000:1000 -v {own}/volume:/codex -e CODEX_HOME=/codex",
        "/codex",
        1000,
    ),
    "only read, with a user's volume, by root": Box(
        "debian", f"{_DEBIAN} --read-only -v {{own}}/volume:/root/.codex", "/root/.codex", 1000
    ),
    "a mounted file": Box(
        "busybox", "-v {own}/auth.json:/root/.codex/auth.json", "/root/.codex", in_place=True
    ),
    "a mounted file, Debian, only read": Box(
        "debian",
        f"{_DEBIAN} --read-only -v {{own}}/auth.json:/workspace/auth.json -e CODEX_HOME=/workspace",
        "/workspace",
        in_place=True,
    ),
}
_SHOWN = 'cd "$0" && stat -c "%n %u:%g %a" . $(ls -A) && cat auth.json'


@pytest.fixture
def own() -> Iterator[Path]:
    """A folder to be mounted: a volume of a user, and an auth.json."""
    with tempfile.TemporaryDirectory(prefix="hl-", dir="/tmp") as folder:
        own = Path(folder)
        own.chmod(0o755)
        (own / "volume").mkdir(mode=0o700)
        os.chown(own / "volume", 1000, 1000)
        (own / "auth.json").write_bytes(OLD)
        yield own


@pytest.mark.parametrize("kind", BOXES)
def test_a_copy_arrives(kind: str, engine: Engine, signed_in: Machine, own: Path) -> None:
    """In the folder of the container's user, as that user's, whole and private; and once more."""
    box = BOXES[kind]
    engine.start(own.name, box.image, *box.options.format(own=own).split())
    said = assert_ended(signed_in.run("push", f"{engine.name}://{own.name}"), 0).err
    assert ("written in place" in said) == box.in_place
    assert "CODEX_HOME=" not in said
    shown = engine.ask("exec", "-u", "0", own.name, "sh", "-c", _SHOWN, box.folder)
    assert shown.stdout.endswith(ADAS), shown
    lines = shown.stdout.removesuffix(ADAS).decode().splitlines()
    modes = {line.split()[0]: line.split()[1:] for line in lines}
    assert modes["auth.json"] == [f"{box.owner}:{box.owner}", "600"]
    if not box.in_place:
        assert box.image != "debian" or modes.keys() > LOCKS  # Debian's BusyBox has no flock
        assert {owner for owner, _ in modes.values()} == {f"{box.owner}:{box.owner}"}
        assert modes["."][1] == "700"
    assert modes.keys() <= {".", "auth.json"} | LOCKS
    assert_ended(signed_in.run("push", f"{engine.name}://{own.name}"), 0)


def test_the_real_codex_reads_it(engine: Engine, signed_in: Machine, own: Path) -> None:
    """In the container of a user, where it is found; it is signed in."""
    codex = require_codex(NEWEST)
    settings = codex_environment(Path("/home/ada/.codex"), Path("/home/ada"))
    settings |= {"PATH": "/opt/codex:/usr/bin:/bin"}
    words = [word for name in settings for word in ("-e", f"{name}={settings[name]}")]
    words += ["--user", "1000:1000", "-v", f"{codex.parent}:/opt/codex:ro", *_DEBIAN.split()]
    engine.start(own.name, "debian", *words)
    said = assert_ended(signed_in.run("push", f"{engine.name}://{own.name}"), 0).err
    assert "codex uses it from now on" in said
    status = engine.ask("exec", own.name, "codex", "login", "status")
    assert status.returncode == 0, status
    assert b"Logged in using ChatGPT" in status.stdout + status.stderr


def test_a_folder_is_named(engine: Engine, signed_in: Machine, own: Path) -> None:
    """From the root, or below the home there, whatever its name means to a shell."""
    engine.start(own.name, "busybox")
    for folder, path in (("/srv/a b;$HOME", "/srv/a b;$HOME"), ("/~/'x\"", "/root/'x\"")):
        said = assert_ended(signed_in.run("push", f"{engine.name}://{own.name}{folder}"), 0).err
        assert "export CODEX_HOME=" in said
        assert engine.ask("exec", own.name, "cat", f"{path}/auth.json").stdout == ADAS


def test_what_takes_nothing_is_named(engine: Engine, signed_in: Machine, own: Path) -> None:
    """A container without sh, one that is stopped, one that is only read, and none."""
    engine.start(own.name, "bare")
    engine.start(f"{own.name}-ro", "busybox", "--read-only")
    name = f"{engine.name}://{own.name}"
    said = assert_ended(signed_in.run("push", name), 6, name).err
    assert '"sh"' in said or "`sh`" in said, said
    assert_ended(signed_in.run("push", f"{name}-ro"), 6, "Read-only file system")
    engine.ask("kill", own.name)
    assert "running" in assert_ended(signed_in.run("push", name), 6, name).err
    said = assert_ended(signed_in.run("push", f"{engine.name}://none"), 6).err.lower()
    assert "no such container" in said or "no container with name" in said


# Pods, by the stub.

_STUB = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
program = sys.argv[sys.argv.index("--") + 1 :]
os.environ["CODEX_HOME"] = {home!r}
os.execvp(program[0], program)
"""
PODS = {
    "k8s://web-0": ["web-0"],
    "k8s://team-a/web-0": ["-n", "team-a", "web-0"],
    "k8s://team-a/web-0/codex": ["-n", "team-a", "-c", "codex", "web-0"],
}


@posix_shell
@pytest.mark.parametrize("target", PODS)
def test_kubectl_is_asked(target: str, machine: Machine, tmp_path: Path) -> None:
    """Twice the same: to look, and to write; no argument holds anything but names."""
    store(machine.home, Credentials(ADAS))
    pod, log, stub = tmp_path / "pod" / ".codex", tmp_path / "log", tmp_path / "kubectl"
    stub.write_text(_STUB.format(python=sys.executable, log=str(log), home=str(pod)))
    stub.chmod(0o755)
    pod.parent.mkdir()
    assert_ended(_finding(machine, None, tmp_path).run("push", target), 0, target)
    assert (pod / "auth.json").read_bytes() == ADAS
    assert {path.name for path in pod.iterdir()} == {"auth.json"} | LOCKS
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert first == second
    assert first[:-1] == ["exec", "-i", *PODS[target], "--", "sh", "-c"]
    assert "rt_" not in log.read_text()
