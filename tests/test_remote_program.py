"""remote.sh, the program for the other side of a delivery, under every shell that is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from headless_login.delivery.client import Reply, run_client
from headless_login.delivery.remote import RemoteFolder
from headless_login.delivery.target import Replacing, read_target
from headless_login.errors import LocalTrouble
from tests.support.machine import NOBODY, has_mode, hold, is_held, needs_root, require_root
from tests.support.people import ADA, GRACE, signed_in_as
from tests.support.program import until
from tests.support.stored_files import LOCKS

NEW = signed_in_as(ADA).content
OLD = signed_in_as(ADA, "rt_OLD").content
SHELLS = ("dash", "bash", "bash --posix", "busybox sh", "mksh", "zsh --emulate sh")
PLAIN_SHELLS = SHELLS[0], SHELLS[3]  # of which everything else is a program of its own
LEAST = "cat chmod chown cut dd id ls mkdir mv printf readlink rm sed sha256sum sleep wc"
MOST = f"{LEAST} cksum flock sync truncate"
Prefix = Callable[["There", int, bytes], Sequence[str]]  # of the call with this number and input


def _plainly(_there: There, _number: int, _given: bytes) -> Sequence[str]:
    return ()


class There(NamedTuple):
    """A folder, and the shell that the program finds there."""

    home: Path
    shell: str
    environ: dict[str, str]

    def put(self, content: bytes, name: str = "auth.json", mode: int = 0o600) -> Path:
        self.home.mkdir(mode=0o700, exist_ok=True)
        path = self.home / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def place(self, prefix: Prefix = _plainly, *, replace: bool = False) -> RemoteFolder:
        """Return the folder as a delivery meets it; `prefix` are words before those of sh."""
        count = 0

        def run(
            words: Sequence[str], given: bytes, _environ: Mapping[str, str], timeout: float
        ) -> Reply:
            nonlocal count
            count += 1
            before = prefix(self, count, given)
            own = [shutil.which(self.shell.split()[0]) or "", *self.shell.split()[1:]]
            return run_client([*before, *own, *words[-2:]], given, self.environ, timeout)

        return RemoteFolder(read_target("docker://box"), run=run, replacing=Replacing(replace))

    def deliver(self, content: bytes = NEW, prefix: Prefix = _plainly) -> list[str]:
        said: list[str] = []
        self.place(prefix, replace=True).deliver(content, said.append)
        return said

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.home.iterdir()}

    def content(self) -> bytes:
        return (self.home / "auth.json").read_bytes()

    def with_programs(self, names: str, wrapper: str = "") -> There:
        """Return it with no programs but these; `wrapper` is a script around each, as "$real"."""
        folder = self.home.parent / "bin"
        folder.mkdir()
        for name in names.split():
            real = shutil.which(name)
            assert real, name
            if wrapper:
                script = f"#!/bin/dash\nreal={real} name={name}\n{wrapper}\n"
                (folder / name).write_text(script)
                (folder / name).chmod(0o755)
            else:
                (folder / name).symlink_to(real)
        return self._replace(environ=self.environ | {"PATH": str(folder)})


def _mounted(there: There, _number: int = 0, _given: bytes = b"") -> Sequence[str]:
    """A single file is mounted, as into a container: it cannot be replaced by renaming."""
    return _after('/bin/mount --bind "$0" "$0"; exec "$@"', there.home / "auth.json")


def _after(script: str, path: Path) -> Sequence[str]:
    require_root("unshare", "mount")
    return [str(shutil.which("unshare")), "-m", "/bin/sh", "-euc", script, str(path)]


@pytest.fixture(params=SHELLS)
def there(request: pytest.FixtureRequest, tmp_path: Path) -> There:
    if not shutil.which(request.param.split()[0]):
        pytest.skip(f"not installed: {request.param}")
    home = tmp_path / "codex"
    settings = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CODEX_HOME": str(home)}
    return There(home, request.param, settings)


def _link(there: There, to: str, owner: int | None = None) -> None:
    there.home.mkdir()
    (there.home / "auth.json").symlink_to(there.home.parent / to)
    if owner is not None:
        os.lchown(there.home / "auth.json", owner, owner)


def _linked(there: There, content: bytes | None) -> None:
    (there.home.parent / "else").mkdir()
    _link(there, "else/creds.json")
    if content is not None:
        (there.home.parent / "else" / "creds.json").write_bytes(content)


def _left_over(there: There) -> None:
    for name in (".auth-0123456789ab", ".auth-Ab12Cd", ".auth-mine", "auth.json"):
        there.put(OLD, name)


TAKEN: dict[str, Callable[[There], object]] = {
    "no folder": lambda _: None,
    "an empty folder": lambda there: there.home.mkdir(),
    "an older one": lambda there: there.put(OLD, mode=0o644),
    "the same, for all to read": lambda there: there.put(NEW, mode=0o644),
    "an empty file": lambda there: there.put(b""),
    "no JSON": lambda there: there.put(b"\xff\0{\n"),
    "a link": lambda there: _linked(there, OLD),
    "a link to a file that is missing": lambda there: _linked(there, None),
    "leftovers": _left_over,
}


@pytest.mark.parametrize("state", TAKEN)
def test_it_delivers(state: str, there: There) -> None:
    """Whole and private, where a link leads; what an earlier one has left is gone."""
    TAKEN[state](there)
    was_link = (there.home / "auth.json").is_symlink()
    there.deliver()
    assert there.content() == NEW
    assert has_mode((there.home / "auth.json"), 0o600)
    if state == "no folder":
        assert has_mode(there.home, 0o700)
    assert (there.home / "auth.json").is_symlink() == was_link
    others = {path.name for path in there.home.parent.glob("else/*")}
    assert others == ({"creds.json", "creds.json.lock"} if was_link else set())
    rest = {".auth-mine"} if state == "leftovers" else set()
    locks = {"auth.lock"} if was_link else LOCKS
    assert there.names == {"auth.json"} | locks | rest


def _pipe(there: There, name: str) -> None:
    there.home.mkdir()
    os.mkfifo(there.home / name)


REFUSED: dict[str, tuple[Callable[[There], object], str]] = {
    "a circle": (lambda there: _link(there, "codex/auth.json"), "in a circle"),
    "a folder": (lambda there: (there.home / "auth.json").mkdir(parents=True), "is no file"),
    "a pipe": (lambda there: _pipe(there, "auth.json"), "is no file"),
    "a file as folder": (lambda there: there.home.write_bytes(b""), "is no folder"),
    "a link to nowhere": (lambda there: _link(there, "nowhere/auth.json"), "No such file"),
    "a foreign link": (lambda there: _link(there, "x", owner=NOBODY), "another user's link"),
    "a pipe as settings": (lambda there: _pipe(there, "config.toml"), "config.toml cannot be read"),
}


@needs_root
@pytest.mark.parametrize("state", REFUSED)
def test_it_refuses(state: str, there: There) -> None:
    """What is no file, or another user's trap; nothing is changed."""
    prepare, said = REFUSED[state]
    prepare(there)
    before = sorted(there.home.parent.rglob("*"))
    with pytest.raises(LocalTrouble, match=said):
        there.deliver()
    assert sorted(there.home.parent.rglob("*")) == before


def _document(**more: str) -> bytes:
    return json.dumps({"OPENAI_API_KEY": "sk-proj-0123456789"} | more, ensure_ascii=False).encode()


CONTENTS = {
    "not ASCII": _document(name="Ünï€ 𝄞 \x7f"),
    "for shells": _document(name="%s %n \\ \\\\ $HOME `id` $(id) ' \" -n * ~ !! \t"),
    "newlines at its end": _document() + b"\n\n\n",
    "lines": b'{\r\n"OPENAI_API_KEY":\n\n"sk-proj-0123456789"\r\n}',
    "long": _document(name="€" * 60_000),
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("prefix", [_plainly, _mounted], ids=["renamed", "in place"])
def test_it_carries_every_byte(content: str, prefix: Prefix, there: There) -> None:
    """Also over another one that is longer, or shorter, and in a file that cannot be renamed."""
    file = there.put(OLD if content == "long" else CONTENTS["not ASCII"] + b" " * 3000)
    inode = file.stat().st_ino
    there.deliver(CONTENTS[content], prefix)
    assert there.content() == CONTENTS[content]
    assert there.names == {"auth.json"} | LOCKS
    assert (file.stat().st_ino == inode) == (prefix is _mounted)
    there.deliver(NEW, prefix)
    assert there.content() == NEW


@pytest.mark.parametrize("prefix", [_plainly, _mounted], ids=["renamed", "in place"])
def test_it_needs_little(prefix: Prefix, there: There) -> None:
    """No flock, truncate, sync or getent; blanks at the end mean nothing in JSON."""
    there.put(OLD + b" " * 100)
    there.with_programs(LEAST).deliver(NEW, prefix)
    assert there.content().rstrip(b" ") == NEW
    assert there.names == {"auth.json"}


@pytest.mark.parametrize("there", ["posh", "yash"], indirect=True)
def test_a_shell_that_cannot_keep_a_secret(there: There) -> None:
    """It has neither printf nor print of its own: nothing is written."""
    with pytest.raises(LocalTrouble, match="no printf of its own"):
        there.deliver()
    assert not there.home.exists()


# Other programs there.


def test_it_waits_for_codex(there: There) -> None:
    """While Codex writes, nothing is written; afterwards it goes on."""
    there.put(OLD)
    noted = there.home.parent / "noted"
    held = hold(there.home / "auth.json.lock")
    seen: list[bytes] = []

    def release() -> None:
        until(noted.exists)
        until(lambda: noted.read_text().count("\n") > 2)  # auth.lock, and this one twice
        seen.append(there.content())
        held.close()

    releasing = threading.Thread(target=release)
    releasing.start()
    there.with_programs(MOST, f'[ $name != flock ] || echo >> {noted}\nexec $real "$@"').deliver()
    releasing.join()
    assert seen == [OLD]
    assert there.content() == NEW


@pytest.mark.parametrize("there", PLAIN_SHELLS, indirect=True)
@pytest.mark.parametrize("name", sorted(LOCKS))
def test_it_does_not_wait_for_ever(name: str, there: There) -> None:
    """Half a minute, here without the pauses; then it holds nothing."""
    there.put(OLD)
    quick = there.with_programs(MOST, '[ $name != sleep ] || exit 0\nexec $real "$@"')
    with hold(there.home / name), pytest.raises(LocalTrouble, match=r"has held .* for 30 seconds"):
        quick.deliver()
    assert there.content() == OLD
    assert there.names <= {"auth.json"} | LOCKS
    assert not any(is_held(there.home / lock) for lock in LOCKS)


@pytest.mark.parametrize("there", PLAIN_SHELLS, indirect=True)
@pytest.mark.parametrize("is_hers", [False, True])
def test_a_file_that_changes_meanwhile(is_hers: bool, there: There) -> None:
    """It is looked at anew: a newer one of the same person is replaced, another's is not."""
    there.put(OLD)
    place = there.place()
    place.check()
    other = signed_in_as(GRACE if is_hers else ADA, "rt_OTHER").content
    there.put(other)
    if is_hers:
        with pytest.raises(LocalTrouble, match="another sign-in is there"):
            place.deliver(NEW)
    else:
        place.deliver(NEW)
    assert there.content() == (other if is_hers else NEW)


# Other users there.


@needs_root
@pytest.mark.parametrize("there", PLAIN_SHELLS, indirect=True)
def test_root_leaves_nothing_of_its_own(there: There) -> None:
    """In a user's folder all that is made is that user's, and no link makes it another file's."""
    home = there.home.parent / "ada"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    deep = there._replace(home=home / "a" / "b")
    deep.environ["CODEX_HOME"] = str(deep.home)
    deep.deliver()
    made = [home, *home.rglob("*")]
    assert {path.name for path in made} == {"ada", "a", "b", "auth.json"} | LOCKS
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in made} == {(NOBODY, NOBODY)}
    target = there.home.parent / "roots"
    (deep.home / "auth.lock").unlink()
    (deep.home / "auth.lock").symlink_to(target)
    deep.deliver(OLD)
    assert deep.content() == OLD
    assert not target.exists()


# What fails.

_FULL = """
/bin/mount -t tmpfs -o size=64k none "$0"
/bin/cp "$0.old" "$0/auth.json"
/bin/dd if=/dev/zero of="$0/filler" bs=1k 2> /dev/null || :
code=0
"$@" || code=$?
/bin/cp "$0/auth.json" "$0.after"
exit $code
"""


@needs_root
@pytest.mark.parametrize("programs", [MOST, LEAST])
@pytest.mark.parametrize("there", PLAIN_SHELLS, indirect=True)
def test_a_full_disk(programs: str, there: There) -> None:
    """It is said; what was there is whole. If it fills up meanwhile, what fits is delivered."""
    there.home.mkdir()
    there = there.with_programs(programs)
    after = there.home.with_name("codex.after")
    there.home.with_name("codex.old").write_bytes(OLD)
    with pytest.raises(LocalTrouble, match="No space left"):
        there.deliver(NEW, lambda there, *_: _after(_FULL, there.home))
    there.put(OLD)

    def meanwhile(there: There, number: int, _given: bytes) -> Sequence[str]:
        return _after(_FULL, there.home) if number > 1 else ()

    with pytest.raises(LocalTrouble, match=r"No space left|I/O error|does not hold"):
        there.deliver(CONTENTS["long"], meanwhile)
    assert after.read_bytes().rstrip(b" ") == OLD
    there.deliver(NEW, meanwhile)
    assert after.read_bytes().rstrip(b" ") == NEW


@needs_root
@pytest.mark.parametrize("there", PLAIN_SHELLS, indirect=True)
def test_a_folder_that_is_only_read(there: There) -> None:
    """It is said; but a file in it that is mounted to be written is written."""
    there.put(OLD)
    only_read = '/bin/mount --bind "$0" "$0"; /bin/mount -o remount,bind,ro "$0"; '
    with pytest.raises(LocalTrouble, match="Read-only"):
        there.deliver(NEW, lambda there, *_: _after(only_read + 'exec "$@"', there.home))
    assert there.content() == OLD
    space = there._replace(home=there.home.rename(there.home.with_name("workspace")))
    space.environ["CODEX_HOME"] = str(space.home)
    file = '/bin/mount --bind "$0/auth.json" "$0/auth.json"; exec "$@"'
    bind = '/bin/mount --bind "$0" "$0"; ' + file.replace(
        "; exec", '; /bin/mount -o remount,bind,ro "$0"; exec'
    )
    assert "in place" in " ".join(space.deliver(NEW, lambda there, *_: _after(bind, there.home)))
    assert space.content() == NEW
    assert space.names == {"auth.json"}


# Killed, and watched.


def _is_whole(there: There) -> None:
    """What is there is the old one or the new one, and the next delivery tidies up."""
    assert there.content().rstrip(b" ") in (OLD, NEW)


def _is_mended(there: There, prefix: Prefix) -> None:
    there.deliver(NEW, prefix)
    assert there.content().rstrip(b" ") == NEW
    assert there.names == {"auth.json"} | LOCKS


_KILLING = """
echo "$name" >> "$NOTED"
[ "$(/usr/bin/wc -l < "$NOTED")" -lt "$AT" ] || kill -KILL 0
exec $real "$@"
"""


@pytest.mark.parametrize("there", PLAIN_SHELLS, indirect=True)
@pytest.mark.parametrize("prefix", [_plainly, _mounted], ids=["renamed", "in place"])
def test_it_is_killed_at_every_step(prefix: Prefix, there: There) -> None:
    """With all that it has started, before each program that it runs."""
    there = there.with_programs(MOST, _KILLING)
    noted = there.home.parent / "noted"
    setsid = shutil.which("setsid") or pytest.skip("not installed: setsid")
    there.environ.update(NOTED=str(noted), AT="999")
    results = set()

    def killed(there: There, number: int, given: bytes) -> Sequence[str]:
        noted.write_text("")
        there.environ["AT"] = str(at) if number == 2 else "999"  # the first one probes
        return [setsid, *prefix(there, number, given)]

    at = 0
    while (True, NEW) not in results or at < 8:
        at += 1
        assert at < 200
        there.put(OLD + b"   ")
        arrived = True
        try:
            there.deliver(NEW, killed)
        except LocalTrouble:
            arrived = False
        there.environ["AT"] = "999"
        _is_whole(there)
        assert not arrived or there.content().rstrip(b" ") == NEW
        is_killed = len(noted.read_text().splitlines()) >= at
        results.add((arrived and not is_killed, there.content().rstrip(b" ")))
        _is_mended(there, prefix)
    assert (False, OLD) in results


CALLS = (
    *("openat", "write", "rename", "renameat2", "unlink", "unlinkat", "fchmodat", "chmod"),
    *("ftruncate", "fsync", "flock", "close", "lchown", "fchownat"),
)


@needs_root
@pytest.mark.parametrize("there", PLAIN_SHELLS, indirect=True)
@pytest.mark.parametrize("prefix", [_plainly, _mounted], ids=["renamed", "in place"])
def test_one_of_its_processes_is_killed(prefix: Prefix, there: There) -> None:
    """At each system call with one of its files: the others may go on, and tell no lie."""
    if not (strace := shutil.which("strace")):
        pytest.skip("not installed: strace")
    log, kills = there.home.parent / "log", 0
    call, count = "", 0

    def traced(there: There, number: int, given: bytes) -> Sequence[str]:
        if number != 2:  # the first one probes
            return prefix(there, number, given)
        (mark,) = re.findall(rb"\nEND\n(\w+)\n", given)
        files = ("", "auth.json", "auth.lock", "auth.json.lock", f".auth-{mark.decode()}")
        paths = [word for name in files for word in ("-P", str(there.home / name).rstrip("/"))]
        inject = f"inject={call}:signal=KILL:when={count}"
        words = [strace, "-f", "-qq", "-o", str(log), *paths, f"-etrace={call}", "-e", inject]
        return [*prefix(there, number, given), *words]

    for call in CALLS:  # noqa: B007  # `traced` reads both
        for count in range(1, 50):  # noqa: B007
            there.put(OLD + b"   ")
            try:
                there.deliver(NEW, traced)
            except LocalTrouble:
                _is_whole(there)
            else:
                assert there.content().rstrip(b" ") == NEW
            _is_mended(there, prefix)
            if "SIGKILL" not in log.read_text():
                break
            kills += 1
    assert kills > 10


@pytest.mark.parametrize("prefix", [_plainly, _mounted], ids=["renamed", "in place"])
def test_no_process_is_told_a_secret(prefix: Prefix, there: There) -> None:
    """Neither in its arguments nor in its environment."""
    if not (strace := shutil.which("strace")):
        pytest.skip("not installed: strace")
    there.put(OLD)
    log = there.home.parent / "log"
    words = [strace, "-f", "-qq", "-A", "-o", str(log), "-v", "-s", "1000000", "-etrace=execve"]
    there.deliver(NEW, lambda *given: [*prefix(*given), *words])
    said = log.read_text()
    assert said.count("execve(") > 5
    assert "rt_" not in said
    assert json.loads(NEW)["tokens"]["access_token"][:40] not in said
