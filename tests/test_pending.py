"""Pending sign-ins: kept, found, refused with the right sentence, and gone when their time is."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headless_login.codex.pending.folder import FOLDER
from headless_login.codex.pending.record import (
    Damaged,
    Moment,
    Origin,
    identifier,
    read_record,
    write_record,
)
from headless_login.errors import HeadlessLoginError
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.provider import CODEX, Endpoints, Provider
from headless_login.oauth.request import AuthorizationRequest
from headless_login.oauth.values import DeviceCode, Grant
from tests.support.machine import NOBODY, as_user, needs_root, public_folder
from tests.support.two_calls import Pending

BEGUN = Moment(wall=1_800_000_000.0, uptime=5_000.0, boot="first")
CODE = DeviceCode("https://auth.openai.com/codex/device", "ABCD-EFGH", 5.0, 900.0, "device-secret")


class Clock:
    """A clock that goes where it is told."""

    def __init__(self) -> None:
        """Begin at a fixed moment."""
        self.now = BEGUN

    def __call__(self) -> Moment:
        """Return the moment."""
        return self.now

    def passes(self, seconds: float, *, set_by: float = 0.0) -> None:
        """Let time pass, and have the time of day set by so much as well."""
        wall, uptime = self.now.wall + seconds + set_by, self.now.uptime + seconds
        self.now = self.now._replace(wall=wall, uptime=uptime)


@pytest.fixture
def clock() -> Clock:
    """A clock at the beginning."""
    return Clock()


@pytest.fixture
def pending(codex_home: Path, clock: Clock) -> Pending:
    """The pending sign-ins of an empty Codex home."""
    return Pending(codex_home, clock)


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


def _record(codex_home: Path, sign_in: Attempt) -> Path:
    return codex_home / FOLDER / f"{identifier(sign_in)}.json"


def test_it_is_found_again_whole(pending: Pending) -> None:
    """Another process gets the very same request, with the seconds that are left."""
    sign_in = pending.begin()
    with pending.claim(sign_in) as claim:
        assert claim.attempt == sign_in
        assert claim.age(BEGUN.wall) == 0


def test_its_time_goes_on(pending: Pending, clock: Clock) -> None:
    """After 899 seconds it can be finished, after 901 no longer, and its secrets are gone."""
    sign_in = pending.begin()
    clock.passes(899)
    with pending.claim(sign_in) as claim:
        assert claim.attempt.left(clock.now.wall) == 1
    clock.passes(2)
    assert "expired" in _refusal(pending, sign_in)
    assert not list((Path(pending.home.path) / FOLDER).glob("*.json"))


@pytest.mark.parametrize("set_by", [-86400.0, -900.0, 0.0, 900.0, 1e9])
def test_no_clock_revives_it_or_kills_it(set_by: float, pending: Pending, clock: Clock) -> None:
    """Whatever the time of day is set to, it lives for as long as it was to live."""
    sign_in = pending.begin()
    clock.passes(600, set_by=set_by)
    assert _refusal(pending, sign_in) == ""
    clock.passes(400, set_by=-set_by)
    assert "expired" in _refusal(pending, sign_in)
    clock.passes(-500)  # not even a machine that counts backwards
    assert "expired" in _refusal(pending, sign_in)


@pytest.mark.parametrize("then", ["second", ""])
def test_another_run_of_the_machine_is_foreign(then: str, pending: Pending, clock: Clock) -> None:
    """After a restart nobody knows how much time has passed, whatever the clock says."""
    sign_in = pending.begin()
    clock.now = clock.now._replace(boot=then)
    assert "before this machine was restarted" in _refusal(pending, sign_in)
    assert pending.waiting() == []


def test_a_machine_whose_runs_have_no_name(pending: Pending, clock: Clock) -> None:
    """Then uptime and time of day both have to agree (macOS, Windows)."""
    clock.now = clock.now._replace(boot="")
    first, second = pending.begin(), pending.begin()
    clock.passes(100)
    assert _refusal(pending, first) == ""
    clock.now = clock.now._replace(uptime=BEGUN.uptime + 100, wall=BEGUN.wall + 5000)
    assert "expired" in _refusal(pending, first)
    clock.now = clock.now._replace(uptime=10.0)
    assert "restarted" in _refusal(pending, second)


def test_used_expired_and_unknown_are_told_apart(pending: Pending, clock: Clock) -> None:
    """Each with its own sentence, a day long."""
    sign_ins = used, expired = pending.begin(), pending.begin(10)
    with pending.claim(used) as claim:
        claim.use_up()
    clock.passes(20)
    told = [_refusal(pending, sign_in) for sign_in in sign_ins]
    told.append(_refusal(pending, Attempt(CODEX, AuthorizationRequest(CODEX), 1)))
    assert [next(word for word in ("used up", "expired", "no sign-in") if word in text)
            for text in told] == ["used up", "expired", "no sign-in"]  # fmt: skip
    assert pending.knows(used)
    assert pending.knows(expired)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(provider=record["provider"] | {"issuer": "https://evil.test"}),
        lambda record: record["awaits"].update(redirect_uri="http://127.0.0.1:1457/auth/callback"),
        lambda record: record["awaits"].update(verifier="a" * 86),
        lambda record: record["origin"].update(lifetime=1e9),
        lambda record: record.pop("digest"),
        lambda record: record.update(format=2),
        lambda record: record.clear(),
    ],
)
def test_a_changed_record_is_refused(change: object, pending: Pending, codex_home: Path) -> None:
    """Nobody is asked on behalf of what somebody else has written there."""
    sign_in = pending.begin()
    path = _record(codex_home, sign_in)
    record = json.loads(path.read_bytes())
    change(record)  # type: ignore[operator]
    path.write_text(json.dumps(record))
    assert "damaged or was changed" in _refusal(pending, sign_in)
    assert pending.waiting() == []


def test_a_record_under_another_name_is_refused(pending: Pending, codex_home: Path) -> None:
    """A copy of one sign-in does not stand in for another."""
    first, second = pending.begin(), pending.begin()
    shutil.copy(_record(codex_home, first), _record(codex_home, second))
    assert "damaged or was changed" in _refusal(pending, second)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o606])
def test_what_others_could_open_is_refused(mode: int, pending: Pending, codex_home: Path) -> None:
    """Private from the first to the last moment, or not used."""
    sign_in = pending.begin()
    _record(codex_home, sign_in).chmod(mode)
    assert "Other users could read or change" in _refusal(pending, sign_in)


@needs_root
def test_another_users_record_is_refused(pending: Pending, codex_home: Path) -> None:
    """Who planted it wants us to sign in as them."""
    sign_in = pending.begin()
    os.chown(_record(codex_home, sign_in), NOBODY, NOBODY)
    assert "by another user" in _refusal(pending, sign_in)


@needs_root
def test_what_root_begins_in_a_users_folder_is_the_users() -> None:
    """`sudo headless-login login start` with the user's HOME: the user can finish it."""
    with public_folder(NOBODY) as folder:
        pending = Pending(folder)
        sign_in = pending.begin()
        with pending.claim(sign_in):
            pass
        for path in (folder / FOLDER).iterdir():
            assert path.stat().st_uid == NOBODY, path
        assert as_user(NOBODY, lambda: _refusal(pending, sign_in)) == ""
        assert _refusal(pending, sign_in) == ""


def test_a_copy_for_another_folder_is_refused(
    pending: Pending, clock: Clock, codex_home: Path, tmp_path: Path
) -> None:
    """A backup or a template is not the folder that it was begun for."""
    sign_in = pending.begin()
    shutil.copytree(codex_home, tmp_path / "copy")
    copy = Pending(tmp_path / "copy", clock)
    assert f"for another Codex folder, {codex_home}" in _refusal(copy, sign_in)
    assert _refusal(pending, sign_in) == ""


def test_the_same_folder_by_another_name(
    pending: Pending, clock: Clock, codex_home: Path, tmp_path: Path
) -> None:
    """As a link, or renamed (as a container's mount is): it is the same folder."""
    sign_in = pending.begin()
    (tmp_path / "link").symlink_to(codex_home)
    assert _refusal(Pending(tmp_path / "link", clock), sign_in) == ""
    codex_home.rename(tmp_path / "renamed")
    assert _refusal(Pending(tmp_path / "renamed", clock), sign_in) == ""


def test_a_claim_is_one_processs(pending: Pending) -> None:
    """The second is told, and the first one's end frees it."""
    sign_in = pending.begin()
    with pending.claim(sign_in):
        assert "Another call is finishing" in _refusal(pending, sign_in)
    assert _refusal(pending, sign_in) == ""


def test_what_was_left_behind_is_thrown_away(
    pending: Pending, clock: Clock, codex_home: Path
) -> None:
    """Old marks, locks and halves; nothing that is still of use."""
    alive, dead = pending.begin(), pending.begin(10)
    clock.passes(20)
    folder = codex_home / FOLDER
    for name in (".auth-half", "x.lock", "x.used", "x.json"):
        (folder / name).write_text("")
        os.utime(folder / name, (1, 1))
    (folder / "y.used").write_text("")
    pending.begin()
    names = {path.name for path in folder.iterdir()}
    assert {f"{identifier(alive)}.json", f"{identifier(dead)}.expired", "y.used"} <= names
    assert not names & {".auth-half", "x.lock", "x.used", "x.json", f"{identifier(dead)}.json"}


def test_a_won_grant_is_kept(pending: Pending, clock: Clock) -> None:
    """It is given once; the time that the sign-in has stays what it was."""
    sign_in = pending.begin(awaits=CODE)
    clock.passes(100)
    grant = Grant("ac_code", "verifier", "https://auth.openai.com/deviceauth/callback")
    with pending.claim(sign_in) as claim:
        claim.keep(claim.attempt._replace(grant=grant))
    clock.passes(100)
    with pending.claim(sign_in) as claim:
        assert claim.attempt == sign_in._replace(grant=grant)
        assert claim.attempt.left(clock.now.wall) == 700.0


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
endpoints = st.none() | st.builds(
    Endpoints, texts, texts, texts, texts, texts, texts, st.booleans()
)
providers = st.builds(Provider, st.just("https://id.example/x"), texts, texts, endpoints)
awaited = st.builds(
    DeviceCode, texts, texts, st.floats(1, 60), st.floats(0, 900), texts
) | st.builds(lambda provider: AuthorizationRequest(provider, "http://127.0.0.1:1/a"), providers)


@given(awaited, providers, st.none() | st.builds(Grant, texts, texts, texts), texts)
def test_every_sign_in_survives_its_file(
    what: AuthorizationRequest | DeviceCode, provider: Provider, grant: Grant | None, path: str
) -> None:
    """What is read is what was written; and no single byte can be changed unnoticed."""
    if isinstance(what, AuthorizationRequest):
        provider = what.provider
    sign_in = Attempt(provider, what, BEGUN.wall + 900.0, grant)
    origin = Origin(path, (1, 2), "host", BEGUN, 900.0)
    content = write_record(sign_in, origin)
    assert read_record(content) == (sign_in, origin)


@given(st.data())
def test_no_damage_goes_unnoticed(data: st.DataObject) -> None:
    """A flipped bit, a cut or anything else: damaged, or what was written."""
    sign_in = Attempt(CODEX, CODE, BEGUN.wall + 900.0)
    origin = Origin("/home", (1, 2), "host", BEGUN, 900.0)
    content = bytearray(write_record(sign_in, origin))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(content)))
    for damaged in (bytes(content), bytes(content[:cut]), data.draw(st.binary(max_size=40))):
        with suppress(Damaged):
            assert read_record(damaged) == (sign_in, origin)
