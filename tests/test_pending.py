"""Pending sign-ins: kept, found, refused with the right sentence, and gone when their time is."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headless_login.codex.home import CodexHome
from headless_login.codex.pending.record import (
    Damaged,
    Moment,
    Origin,
    identifier,
    read_record,
    write_record,
)
from headless_login.codex.pending.store import PendingAttempts
from headless_login.commands.pending_answers import PendingAnswers
from headless_login.errors import HeadlessLoginError, RejectedAnswer, SignInRefused
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import CODEX, Endpoints, Provider
from headless_login.oauth.request import AuthorizationRequest, redirect_uri_for
from headless_login.oauth.values import DeviceCode, Grant
from tests.support.machine import NOBODY, as_user, needs_root, posix_modes, public_folder
from tests.support.two_calls import PENDING, Pending, aged, resealed

BEGUN = Moment(wall=1_800_000_000.0, uptime=5_000.0, boot="first")
CODE = DeviceCode("https://auth.openai.com/codex/device", "ABCD-EFGH", 5.0, 900.0, "D" * 22)
ORIGIN = Origin("/home", (1, 2), "host", BEGUN, 900.0)


@pytest.fixture
def pending(codex_home: Path) -> Pending:
    """The pending sign-ins of an empty Codex home, where time stands still."""
    return Pending(codex_home, BEGUN)


def _refusal(pending: Pending, sign_in: Attempt) -> str:
    """Return why a sign-in cannot be finished; nothing if it can."""
    try:
        with pending.claim(sign_in):
            return ""
    except HeadlessLoginError as error:
        refused = error
    assert (refused.error, refused.exit_code) == ("no_pending_login", 3)
    assert refused.hint
    return refused.message


def test_it_is_found_again_whole(pending: Pending) -> None:
    """Another process gets the very same request, with the seconds that are left."""
    sign_in = pending.begin()
    with pending.claim(sign_in) as claim:
        assert claim.attempt == sign_in
        assert claim.age(BEGUN.wall) == 0


@pytest.mark.parametrize("set_by", [-86400.0, -900.0, 0.0, 900.0, 1e9])
def test_no_clock_revives_it_or_kills_it(set_by: float, pending: Pending) -> None:
    """It lives for 900 seconds, whatever the time of day is set to; then its secrets are gone."""
    sign_in = pending.begin()
    pending.passes(899, set_by=set_by)
    with pending.claim(sign_in) as claim:
        assert claim.attempt.left(pending.now().wall) == 1
    pending.passes(2, set_by=-set_by)
    assert "expired" in _refusal(pending, sign_in)
    assert not pending.record(sign_in).exists()
    pending.passes(-500)  # not even a machine that counts backwards
    assert "expired" in _refusal(pending, sign_in)


@pytest.mark.parametrize("then", ["second", ""])
def test_another_run_of_the_machine_is_foreign(then: str, pending: Pending) -> None:
    """After a restart nobody knows how much time has passed, whatever the clock says."""
    sign_in = pending.begin()
    pending.moment = BEGUN._replace(boot=then)
    assert "before this machine was restarted" in _refusal(pending, sign_in)
    assert pending.waiting() == []


def test_a_machine_whose_runs_have_no_name(pending: Pending) -> None:
    """Then uptime and time of day both have to agree (macOS, Windows)."""
    pending.moment = BEGUN._replace(boot="")
    first, second = pending.begin(), pending.begin()
    pending.passes(100)
    assert _refusal(pending, first) == ""
    pending.passes(0, set_by=4900)
    assert "expired" in _refusal(pending, first)
    pending.passes(-5000)
    assert "restarted" in _refusal(pending, second)


def test_used_expired_and_unknown_are_told_apart(pending: Pending) -> None:
    """Each with its own sentence, a day long."""
    used, expired = pending.begin(), pending.begin(10)
    with pending.claim(used) as claim:
        claim.use_up()
    pending.passes(20)
    assert "used up" in _refusal(pending, used)
    assert "expired" in _refusal(pending, expired)
    stranger = Attempt(CODEX, AuthorizationRequest(CODEX), 1)
    assert "belongs to no sign-in" in _refusal(pending, stranger)
    with pending.opened() as found:
        known = [found.knows(identifier(each)) for each in (used, expired, stranger)]
    assert known == [True, True, False]


def _changed(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Set a member, named as in `awaits.state`; to `...`: leave it out."""
    *parents, name = path.split(".")
    inner = document
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    if value is ...:
        del inner[name]
    return document


DAMAGED, OTHERS = "damaged or was changed", "by another user"
EXPOSED = "Other users could read or change"
NAN, INFINITE = float("nan"), float("inf")
NEVER_KEPT: dict[str, list[object]] = {
    "awaits": [None, []],
    "awaits.state": [None, [], "", "é", "a b", ...],
    "awaits.verifier": ["", "a" * 42, "a" * 129, "é" * 43, "a" * 43 + "\n"],
    "awaits.redirect_uri": [None, "", "http://evil.test/auth/callback", ...],
    "awaits.allowed_workspace_ids": [None, "acc-1", {"acc-1": 1}, [1]],
    "provider.issuer": ["http://evil.test", ...],
}
EDITED: dict[str, list[object]] = {
    "provider.issuer": ["https://evil.test"],
    "awaits.redirect_uri": ["http://127.0.0.1:1457/auth/callback"],
    "awaits.verifier": ["a" * 86],
    "origin.lifetime": [1e9],
    "format": [2],
    "digest": [...],
}
TIMES: list[object] = [None, "x", [], NAN, INFINITE, -INFINITE, 10**400]
ODD = {f"origin.{name}": TIMES for name in ("lifetime", "moment.uptime", "moment.wall")}


def _rows(values: dict[str, list[object]]) -> pytest.MarkDecorator:
    rows = [(path, value) for path in values for value in values[path]]
    return pytest.mark.parametrize(("path", "value"), rows, ids=lambda it: ascii(it)[:20])


@_rows(NEVER_KEPT | {"expires_at": TIMES})
def test_what_was_never_kept_is_not_rebuilt(path: str, value: object) -> None:
    """A damaged attempt is refused: a default in place of what is missing is another attempt."""
    kept = Attempt(CODEX, AuthorizationRequest(CODEX, allowed_workspace_ids=("acc-1",)), 1.0).kept()
    assert Attempt.rebuilt(kept)
    with pytest.raises(ValueError, match="not an attempt that was kept"):
        Attempt.rebuilt(_changed(kept, path, value))


CODES: dict[str, list[object]] = {
    "awaits.verification_uri": ["javascript:x", "http://evil.test/codex/device", None, ...],
    "awaits.user_code": ["", "\x1b[2J", "A B", None, ...],
    "awaits.device_code": ["", "\n", None, ...],
    "awaits.interval": [0, -5, *TIMES],
}


@_rows(CODES)
def test_what_was_never_kept_is_not_polled(path: str, value: object) -> None:
    kept = Attempt(CODEX, CODE, 1.0).kept()
    assert Attempt.rebuilt(kept).awaits == CODE
    with pytest.raises(ValueError, match="not an attempt that was kept"):
        Attempt.rebuilt(_changed(kept, path, value))


def _assert_refused(pending: Pending, why: str, tamper: Callable[[Path], object]) -> None:
    """Fail unless that keeps one sign-in, and no other one, from being finished."""
    sign_in, good = pending.begin(), pending.begin()
    tamper(pending.record(sign_in))
    assert why in _refusal(pending, sign_in)
    with pending.opened() as found:
        assert why in found.reason(identifier(sign_in)).message
    assert pending.waiting() == [good]


def _writes(path: str, value: object, seal: Callable[[Any], bytes]) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(seal(_changed(json.loads(file.read_bytes()), path, value)))


@_rows(EDITED)
def test_an_edited_record_is_refused(path: str, value: object, pending: Pending) -> None:
    """Nobody is asked on behalf of what somebody else has written there."""
    _assert_refused(pending, DAMAGED, _writes(path, value, lambda it: json.dumps(it).encode()))


@_rows(NEVER_KEPT | ODD)
def test_a_record_of_the_wrong_kind_is_refused(path: str, value: object, pending: Pending) -> None:
    """Even with a digest that fits."""
    _assert_refused(pending, DAMAGED, _writes(path, value, resealed))


@pytest.mark.parametrize(
    ("why", "tamper"),
    [
        *(
            pytest.param(EXPOSED, partial(Path.chmod, mode=mode), marks=posix_modes)
            for mode in (0o644, 0o660, 0o606)
        ),
        pytest.param(OTHERS, lambda path: os.chown(path, NOBODY, NOBODY), marks=needs_root),
    ],
)
def test_what_others_could_write_is_refused(
    why: str, tamper: Callable[[Path], object], pending: Pending
) -> None:
    """Private from the first to the last moment, or not used: they want us to sign in as them."""
    _assert_refused(pending, why, tamper)


def test_a_record_under_another_name_is_refused(pending: Pending) -> None:
    _assert_refused(pending, DAMAGED, pending.record(pending.begin()).replace)


@needs_root
def test_what_root_begins_in_a_users_folder_is_the_users() -> None:
    """`sudo headless-login login start` with the user's HOME: the user can finish it."""
    with public_folder(NOBODY) as folder:
        pending = Pending(folder)
        sign_in = pending.begin()
        with pending.claim(sign_in):
            pass
        for path in (folder / PENDING).iterdir():
            assert path.stat().st_uid == NOBODY, path
        assert as_user(NOBODY, lambda: _refusal(pending, sign_in)) == ""
        assert _refusal(pending, sign_in) == ""


def test_it_is_for_one_folder(pending: Pending, codex_home: Path, tmp_path: Path) -> None:
    """Linked or renamed (as a container's mount is) it is the same; a backup or template is not."""
    sign_in = pending.begin()
    shutil.copytree(codex_home, tmp_path / "copy")
    copy = Pending(tmp_path / "copy", BEGUN)
    assert f"for another Codex folder, {codex_home}" in _refusal(copy, sign_in)
    (tmp_path / "link").symlink_to(codex_home)
    assert _refusal(Pending(tmp_path / "link", BEGUN), sign_in) == ""
    codex_home.rename(tmp_path / "renamed")
    assert _refusal(Pending(tmp_path / "renamed", BEGUN), sign_in) == ""


def test_a_claim_is_one_processs(codex_home: Path) -> None:
    """The second is told; not even a clock that is put right by days frees it, only its end."""
    pending = Pending(codex_home)
    sign_in = pending.begin()
    with pending.claim(sign_in):
        assert "Another call is finishing" in _refusal(pending, sign_in)
        aged(pending.record(sign_in).with_suffix(".lock"))
        pending.begin()
        assert "Another call is finishing" in _refusal(pending, sign_in)
    assert _refusal(pending, sign_in) == ""


def test_what_was_left_behind_is_thrown_away(pending: Pending, codex_home: Path) -> None:
    """Old marks, locks and halves; nothing that is still of use."""
    alive, dead = pending.begin(), pending.begin(10)
    pending.passes(20)
    folder = codex_home / PENDING
    for name in ("x.new", "x.lock", "x.used", "x.json"):
        (folder / name).touch()
        aged(folder / name)
    (folder / "y.used").touch()
    aged(pending.record(dead), days=0.1)
    pending.begin()
    names = {path.name for path in folder.iterdir()}
    assert {f"{identifier(alive)}.json", f"{identifier(dead)}.expired", "y.used"} <= names
    assert not names & {"x.new", "x.lock", "x.used", "x.json", f"{identifier(dead)}.json"}


def test_a_won_grant_is_kept(pending: Pending) -> None:
    """It is given once; the time that the sign-in has stays what it was."""
    sign_in = pending.begin(awaits=CODE)
    pending.passes(100)
    grant = Grant("ac_code", "verifier", "https://auth.openai.com/deviceauth/callback")
    with pending.claim(sign_in) as claim:
        claim.keep(claim.attempt._replace(grant=grant))
    pending.passes(100)
    with pending.claim(sign_in) as claim:
        assert claim.attempt == sign_in._replace(grant=grant)
        assert claim.attempt.left(pending.now().wall) == 700.0


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
endpoints = st.none() | st.builds(Endpoints, *[texts] * 6, st.booleans())
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
providers = st.builds(Provider, st.just("https://id.example/x"), words, words, endpoints)
word = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
pages = st.just("https://id.example/device")
codes = st.builds(DeviceCode, pages, word, st.floats(1, 60), st.floats(0, 900), word)
requests = providers.map(AuthorizationRequest)


@given(codes | requests, providers, st.none() | st.builds(Grant, texts, texts, texts), texts)
def test_every_sign_in_survives_its_file(
    what: AuthorizationRequest | DeviceCode, provider: Provider, grant: Grant | None, path: str
) -> None:
    if isinstance(what, AuthorizationRequest):
        provider = what.provider
    sign_in = Attempt(provider, what, BEGUN.wall + 900.0, grant)
    origin = ORIGIN._replace(target=path)
    assert read_record(write_record(sign_in, origin)) == (sign_in, origin)


@given(st.data())
def test_no_damage_goes_unnoticed(data: st.DataObject) -> None:
    sign_in = Attempt(CODEX, CODE, BEGUN.wall + 900.0)
    content = bytearray(write_record(sign_in, ORIGIN))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(content)))
    for damaged in (bytes(content), bytes(content[:cut]), data.draw(st.binary(max_size=40))):
        with suppress(Damaged):
            assert read_record(damaged) == (sign_in, ORIGIN)


def _known(name: str, port: int = 1455) -> AuthorizationRequest:
    return AuthorizationRequest(CODEX, redirect_uri_for(port), state=name * 22, verifier=name * 86)


KNOWN: list[AuthorizationRequest | DeviceCode] = [_known("A"), _known("B", 1457), _known("C"), CODE]


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PendingAttempts]:
    """Three answers and a one-time code are awaited."""
    home = CodexHome(str(tmp_path_factory.mktemp("codex")))
    for awaited in KNOWN:
        PendingAttempts.keep(home, Attempt(CODEX, awaited, time.time() + 900))
    with PendingAttempts.opened(home) as found:
        yield found


def _escaped(text: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)


NAMES = ["code", "state", "error", "iss", "st%61te", "%73tate", "c%6fde", "+state", "scope"]
STATES = [letter * 22 for letter in "ABCDx"]
VALUES = [*STATES, _escaped(STATES[0]), STATES[0][:-1], f"{STATES[0]}%00", "ac_" + "c" * 60]
VALUES += ["", "access_denied", CODEX.issuer, "%ff"]
BEFORE = [
    *("http://127.0.0.1:1455/auth/callback?", "http://localhost:1457/auth/callback?"),
    *("curl 'http://127.0.0.1:1455/auth/callback?", "https://auth.openai.com/error?"),
    *("/auth/callback?", "?", ""),
]


@st.composite
def answers(draw: st.DrawFn) -> str:
    """Return something that looks like an answer, and more often than not is forged."""
    pairs = st.builds("{}={}".format, st.sampled_from(NAMES), st.sampled_from(VALUES))
    separators = st.sampled_from(["&", "&", "&", "&amp;", ";", "?", "#", "\n&", "\\&", "&&"])
    text = draw(st.sampled_from(BEFORE))
    for number, pair in enumerate(draw(st.lists(pairs, max_size=5))):
        text += (draw(separators) if number else "") + pair
    return text + draw(st.sampled_from(["", "'", "#_=_", "\n", f"#{STATES[0]}"]))


@given(answers() | st.text(max_size=80) | st.builds("{}#{}".format, *[st.sampled_from(VALUES)] * 2))
@example(f"?code=ac_{'c' * 60}&st%61te={STATES[0]}")
@example(f"?error=access_denied&st%61te={STATES[0]}")
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
def test_every_text_is_taken_or_refused_for_whom_it_names(
    answered: PendingAttempts, text: str
) -> None:
    """A grant or a refusal belongs to the sign-in whose state stands in the text; else rejected."""
    judge = PendingAnswers(answered)
    try:
        grant = judge.accept(text)
    except RejectedAnswer:
        return
    except SignInRefused:
        grant = None
    assert judge.found is not None
    awaited = judge.found.awaits
    assert isinstance(awaited, AuthorizationRequest)
    assert awaited.state in text or _escaped(awaited.state) in text
    assert grant is None or grant.verifier == awaited.verifier
