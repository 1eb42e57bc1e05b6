"""Delivery to what does not mean well: clients that hang, flood or lie, and machines that plant."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.delivery.client import Reply, cksum, run_client
from headless_login.delivery.remote import RemoteFolder
from headless_login.delivery.target import Replacing, read_target
from headless_login.errors import HeadlessLoginError, LocalTrouble
from tests.support.machine import posix_shell, within
from tests.support.people import ADA, GRACE, Machine, signed_in_as
from tests.support.program import assert_ended
from tests.support.stored_files import store

ADAS = signed_in_as(ADA).content
HERS = signed_in_as(GRACE, "rt_HERS").content
SECRETS = ("rt_", "eyJ", "sk-proj-")
TARGET = read_target("ssh://there")


class Call(NamedTuple):
    """What the program there is given, as a machine sees it that means harm."""

    mark: str
    action: str
    rest: bytes

    @classmethod
    def of(cls, given: bytes) -> Call:
        mark, action, rest = given.partition(b"\nEND\n")[2].split(b"\n", 2)
        return cls(mark.decode(), action.decode(), rest)

    def told(self, *lines: str | bytes) -> bytes:
        encoded = (line if isinstance(line, bytes) else line.encode() for line in lines)
        return b"".join(b"%s %s\n" % (self.mark.encode(), line) for line in encoded)


GOOD = ("folder /home/ada/.codex", "file /home/ada/.codex/auth.json", "usual yes", "sum -")


def _place(answer: Callable[[Call], bytes | Reply], *, replace: bool = False) -> RemoteFolder:
    def run(_w: Sequence[str], given: bytes, _e: Mapping[str, str], _t: float) -> Reply:
        said = answer(Call.of(given))
        return Reply(0, said, "") if isinstance(said, bytes) else said

    return RemoteFolder(TARGET, run=run, replacing=Replacing(replace))


def _all_said(place: RemoteFolder) -> tuple[HeadlessLoginError | None, str]:
    """Check and deliver; returns what went wrong, and all that was said."""
    said: list[str] = []
    try:
        rules = place.check(said.append)
        place.deliver(ADAS, said.append)
        said += place.steps_before_use(rules)
    except HeadlessLoginError as error:
        return error, "\n".join([*said, error.message, error.hint])
    return None, "\n".join(said)


def _with(*lines: str | bytes) -> Callable[[Call], bytes]:
    return lambda call: call.told(*GOOD, *lines, "done")


# What comes in an answer, and what has to be said of it (None: it is delivered).
ANSWERS: dict[str, tuple[Callable[[Call], bytes | Reply], str | None]] = {
    "good": (_with(), None),
    "nothing": (lambda _: b"", "ended before it was done"),
    "a banner": (lambda _: b"Welcome!\ndone\nfolder /x\n", "ended before it was done"),
    "marks of another call": (
        lambda call: call.told("done").replace(call.mark.encode(), b"0123456789ab"),
        "ended before it was done",
    ),
    "a mark with more": (lambda call: b"x" + call.told("done"), "ended before it was done"),
    "the program itself": (lambda call: call.rest, "ended before it was done"),
    "done, and not": (lambda call: call.told("failed write: x"), "x."),
    "no bytes of text": (lambda call: b"\xff\xfe\0" * 9 + call.told(*GOOD, "done"), None),
    "carriage returns": (lambda call: call.told(*GOOD, "done").replace(b"\n", b"\r\n"), None),
    "a kind that is unknown": (lambda call: call.told("failed \x1b[2Jodd"), "there"),
    "many lines": (_with(*["more x"] * 50_000), None),
    "her sign-in": (_with(b"auth " + HERS.replace(b"\n", b"")), "another sign-in is there"),
    "a torn sign-in": (_with(b"auth " + HERS[:-400].replace(b"\n", b"")), None),
    "a binary sign-in": (_with(b"auth \xff\0\x80" + HERS[:100].replace(b"\n", b"")), None),
    "deep JSON": (_with("auth " + "[" * 100_000), None),
    "a long number": (_with("auth " + "9" * 100_000), None),
    "settings with a secret": (_with(b"config key = sk-proj-0123456789abcdefghij"), "config.toml"),
    "settings that are huge": (_with(*["config # x"] * 50_000), None),
    "settings that are deep": (_with("config a = " + "[" * 100_000), "config.toml"),
    "settings of no text": (_with(b"config a = \xff\xfe"), "config.toml"),
    "a path that draws": (
        lambda call: (
            call.told("folder /\x1b[2J\x07", "file /\x1b[2J", "sum -", "made /\x1b]0;x\x07")
            + call.told("codex \x1b[31mcodex-cli " + "9" * 5000, "in_place yes", "done")
        ),
        None,
    ),
    "what cannot be read": (_with("unreadable /\x1b[2Jx"), "cannot be read there"),
    "an error that draws": (
        lambda _: Reply(255, b"", "\x1b[2Jno\x07\n\nclosed by \x1b]0;x\x07host\n\n"),
        "closed by",
    ),
    "an error with a secret": (
        lambda call: Reply(1, b"", f"+ printf %s {call.rest.decode().splitlines()[-1]}"),
        "ssh says",
    ),
    "a reason with a secret": (
        lambda call: call.told(b"failed write: " + call.rest.splitlines()[-1]),
        "there",
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_is_data(kind: str) -> None:
    """It is judged, and nothing of it draws on the terminal or shows a secret."""
    answer, wanted = ANSWERS[kind]
    place = _place(answer)
    error, said = _all_said(place)
    if wanted is None:
        assert error is None, said
    else:
        assert error is not None, said
        assert wanted in said
        assert error.error in ("delivery_failed", "store_failed")
    assert len(said) < 3000
    assert not [secret for secret in SECRETS if secret in said], said
    assert "\x1b" not in said + place.name
    assert "\x07" not in said + place.name


def test_an_endless_change_ends() -> None:
    """A machine that says again and again that its file has changed."""
    calls: list[str] = []

    def answer(call: Call) -> bytes:
        calls.append(call.action)
        changed = call.told("failed changed: another program has just written it")
        return changed if call.action == "deliver" else call.told(*GOOD, "done")

    error, said = _all_said(_place(answer))
    assert error
    assert "again and again" in said
    assert len(calls) < 9


@pytest.mark.parametrize("arrived", [True, False])
def test_a_link_that_breaks_is_asked(arrived: bool) -> None:
    """Whether it has arrived before, or not."""

    def answer(call: Call) -> bytes | Reply:
        if call.action == "deliver":
            answer.broken = True  # type: ignore[attr-defined]
            return Reply(255, b"", "Connection reset")
        is_there = arrived and hasattr(answer, "broken")
        return call.told(*GOOD[:3], f"sum {cksum(ADAS) if is_there else '-'}", "done")

    error, said = _all_said(_place(answer))
    assert (error is None) == arrived, said


def test_a_file_that_changes_hands_meanwhile() -> None:
    """What is there is judged once more before another try: hers stays."""
    probes: list[str] = []

    def answer(call: Call) -> bytes:
        if call.action == "deliver":
            return call.told("failed changed: x")
        probes.append(call.mark)
        hers = [b"auth " + HERS.replace(b"\n", b"")] if len(probes) > 1 else []
        return call.told(*GOOD, *hers, "done")

    error, said = _all_said(_place(answer))
    assert error
    assert "another sign-in is there" in said
    assert len({*probes}) == len(probes) == 2  # each call has a mark of its own


# Clients.

CLIENTS = {
    "hangs": "import time; time.sleep(999)",
    "leaves a child with its output": "import subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(90)']); time.sleep(999)",
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_that_hangs_is_ended(kind: str) -> None:
    """After its time, whatever holds its streams."""
    words = [sys.executable, "-c", CLIENTS[kind]]

    def deliver() -> None:
        RemoteFolder(
            TARGET,
            run=lambda _, *rest: run_client(words, *rest),
            environ=os.environ,
            timeout=1.0,
        ).check()

    with pytest.raises(LocalTrouble, match="no answer came within 1 seconds"):
        within(45, deliver)


def test_a_client_that_ends_before_its_child() -> None:
    """What it has said counts."""
    script = (
        "import os, subprocess, sys; os.write(1, b'x\\n');"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])"
    )
    reply = within(25, lambda: run_client([sys.executable, "-c", script], b"", os.environ, 20))
    assert reply == Reply(0, b"x\n", "")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_client_that_floods_is_bounded(stream: str) -> None:
    """Its output ends it; what it says beside it is cut."""
    script = f"import sys\nfor _ in range(300): sys.{stream}.write('x' * 99999)"
    reply = within(60, lambda: run_client([sys.executable, "-c", script], b"", os.environ, 50))
    assert isinstance(reply, Reply)
    assert len(reply.out) + len(reply.err) < 5 * 1024 * 1024
    if stream == "stdout":
        assert reply.exit_code != 0
        assert "no answer" in reply.err


def test_a_client_that_reads_nothing() -> None:
    """More than a pipe holds is given to one that ends without it."""
    words = [sys.executable, "-c", ""]
    reply = within(60, lambda: run_client(words, b"x" * 1_000_000, os.environ, 50))
    assert reply == Reply(0, b"", "")


# The whole command.

_FORGER = """#!{python}
import sys
given = sys.stdin.buffer.read()
mark = given.partition(b"\\nEND\\n")[2].split(b"\\n")[0].decode()
sys.stderr.write("\\x1b[2J\\x1b]52;c;AAAA\\x07" + given.decode()[-3000:])
for name in ("folder", "file", "made", "in_place", "codex"):
    print(mark, name, "/\\x1b[2J/auth.json")
print(mark, "sum -")
print(mark, {last!r})
"""


@posix_shell
@pytest.mark.parametrize("last", ["done", "failed write: \x1b[2J\x07 eyJ0.eyJ0.eyJ0", "stopped"])
def test_nothing_reaches_the_terminal(last: str, machine: Machine, tmp_path: Path) -> None:
    """Not even a machine that gets the secrets can have them printed, or draw."""
    store(machine.home, Credentials(ADAS))
    client = tmp_path / "ssh"
    client.write_text(_FORGER.format(python=sys.executable, last=last))
    client.chmod(0o755)
    machine.environ["PATH"] = f"{tmp_path}:{machine.environ['PATH']}"
    outcome = machine.run("push", "ssh://there", "--json")
    assert_ended(outcome, 0 if last == "done" else 6)
    said = outcome.out + outcome.err
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said), said
    secrets = re.findall(rb'"(?:\w+_token)": ?"([^"]{9,})"', ADAS)
    assert len(secrets) > 2
    assert not [secret for secret in secrets if secret.decode()[-30:] in said], said
