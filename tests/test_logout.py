"""`logout`: the file goes in any case; the refresh token only if asked, and to nobody else."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest

from headless_login.codex.auth_file import Credentials
from headless_login.codex.home import CodexHome
from headless_login.commands.context import Context
from headless_login.commands.logout import logout
from headless_login.errors import LocalTrouble
from headless_login.practice.issuer import Answer, PracticeIssuer, RecordedRequest
from headless_login.practice.person import approve
from headless_login.practice.wire import json_answer, text_answer
from headless_login.terminal.output import Console, Output
from tests.support.machine import NOBODY, as_user, in_namespace, needs_root, public_folder
from tests.support.program import COMMAND, Outcome, Piped, environment, run
from tests.support.stored_files import KEY, REFRESH_TOKEN, document, made_by, with_tokens

REVOKED = "The refresh token is revoked"
NOT_TAKEN = "The refresh token could not be revoked"


class RevokingIssuer(PracticeIssuer):
    """Answers every request to revoke as told."""

    def __init__(self, answer: Answer | Callable[[], Answer]) -> None:
        """Take the answer, or what makes it."""
        super().__init__()
        self._given = answer

    def answer(self, request: RecordedRequest) -> Answer:
        """Answer as told."""
        if request.path != "/oauth/revoke":
            return super().answer(request)
        return self._given() if callable(self._given) else self._given


def _write(folder: Path, content: object) -> Path:
    path = folder / "auth.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def _logout(folder: Path, *options: str, **variables: str) -> Outcome:
    outcome = run("logout", *options, environ=environment(folder, None, **variables))
    assert "MARKED" not in outcome.out + outcome.err
    assert outcome.out == ""
    return outcome


def _sign_out(folder: Path, *, timeout: float = 5.0) -> str:
    """Sign out with revocation in this process and return what was said."""
    said = StringIO()
    home = CodexHome(str(folder))
    logout(home, Context(Output(Console(said)), {}), revoke=True, revoke_timeout=timeout)
    assert "MARKED" not in said.getvalue()
    return said.getvalue()


# Without revocation.


def test_the_file_goes_and_nobody_is_asked(issuer: PracticeIssuer, codex_home: Path) -> None:
    """Other machines stay signed in; the lock files stay, as Codex leaves them."""
    path = _write(codex_home, made_by(issuer.issuer))
    outcome = _logout(codex_home)
    assert (outcome.exit_code, outcome.err) == (
        0,
        f"Signed out: the sign-in in {path} is gone.\n",
    )
    assert {found.name for found in codex_home.iterdir()} == {"auth.lock", "auth.json.lock"}
    assert issuer.requests == []


def test_nothing_to_do_is_no_error(codex_home: Path) -> None:
    """A second logout and one without a folder are done as well, and make nothing."""
    for folder in (codex_home, codex_home / "missing"):
        outcome = _logout(folder, "--revoke")
        assert outcome.exit_code == 0
        assert outcome.err == f"Nothing to do: there is no sign-in in {folder}/auth.json\n"
    assert not list(codex_home.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"x" * 5_000_000])
@pytest.mark.parametrize("options", [[], ["--revoke"]])
def test_a_broken_file_goes_as_well(content: bytes, options: list[str], codex_home: Path) -> None:
    """Whoever signs out of it does not care what it was; with --revoke it is told."""
    _write(codex_home, content)
    outcome = _logout(codex_home, *options)
    assert outcome.exit_code == 0
    assert not (codex_home / "auth.json").exists()
    assert ("So nothing can be revoked" in outcome.err) is bool(options)


def test_a_file_that_may_not_be_read_goes_as_well() -> None:
    """One's own folder is enough to remove it."""
    with public_folder(NOBODY) as folder:
        _write(folder, document()).chmod(0)

        def work() -> str:
            said = StringIO()
            logout(CodexHome(str(folder)), Context(Output(Console(said)), {}), revoke=True)
            return said.getvalue()

        said = as_user(NOBODY, work)
        assert "cannot be read: Permission denied. So nothing can be revoked." in said
        assert "is gone" in said
        assert not (folder / "auth.json").exists()


def test_a_link_is_kept(codex_home: Path, tmp_path: Path) -> None:
    """The file it leads to is gone."""
    real = tmp_path / "real.json"
    real.write_bytes(json.dumps(document()).encode())
    (codex_home / "auth.json").symlink_to(real)
    assert _logout(codex_home).exit_code == 0
    assert not real.exists()
    assert os.readlink(codex_home / "auth.json") == str(real)
    assert "Nothing to do" in _logout(codex_home).err


def test_a_mounted_file_is_emptied(codex_home: Path) -> None:
    """It cannot be removed, but there is no sign-in in it any more; status agrees."""
    _write(codex_home, document())
    script = 'mount --bind "$1/auth.json" "$1/auth.json"\n"$2" logout\n"$2" login status || :'
    done = in_namespace(script, codex_home, COMMAND, environ=environment(codex_home, None))
    assert "is gone" in done.stderr
    assert done.stdout.startswith("Not signed in")
    assert "MARKED" not in (codex_home / "auth.json").read_text()


def test_what_cannot_be_removed_is_trouble(codex_home: Path) -> None:
    """A folder in the file's place: exit 6, and not a word about success."""
    (codex_home / "auth.json").mkdir()
    outcome = _logout(codex_home)
    assert outcome.exit_code == 6
    assert "it is a folder" in outcome.err
    assert "gone" not in outcome.err


def test_an_empty_option_is_not_the_default_folder(codex_home: Path) -> None:
    """A script's variable that is not set must not sign out of another folder."""
    path = _write(codex_home, document())
    assert _logout(codex_home, "--codex-home", "").exit_code == 2
    assert path.exists()


# With revocation.


def test_the_request_is_codexs(issuer: PracticeIssuer, codex_home: Path) -> None:
    """As codex-facts.md §7 has it, to the issuer and by the client that the file names."""
    path = _write(codex_home, made_by(issuer.issuer))
    outcome = _logout(codex_home, "--revoke")
    assert outcome.exit_code == 0
    assert REVOKED in outcome.err
    assert "other machines" in outcome.err
    assert not path.exists()
    (request,) = issuer.requests
    assert (request.method, request.path, request.query) == ("POST", "/oauth/revoke", "")
    assert request.headers.get_content_type() == "application/json"
    assert json.loads(request.body) == {
        "token": REFRESH_TOKEN,
        "token_type_hint": "refresh_token",
        "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
    }
    assert "Authorization" not in request.headers


def test_another_clients_token_is_revoked_by_that_client(
    issuer: PracticeIssuer, codex_home: Path
) -> None:
    """The client that the file names, not Codex's: where its issuer publishes, as RFC 7009 asks."""
    _write(codex_home, made_by(issuer.issuer, "app_other"))
    _sign_out(codex_home)
    asked = [request.path for request in issuer.requests]
    assert asked == ["/.well-known/openid-configuration", "/oauth/revoke"]
    assert not issuer.requests[1].is_json
    assert issuer.requests[1].form()["client_id"] == "app_other"


def test_a_real_sign_in_ends(
    issuer: PracticeIssuer, environ: dict[str, str], codex_home: Path
) -> None:
    """After login and logout --revoke the issuer refuses the refresh token."""
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        assert piped.finish(approve(piped.read_url())).exit_code == 0
    refresh_token = json.loads((codex_home / "auth.json").read_text())["tokens"]["refresh_token"]
    assert REVOKED in run("logout", "--revoke", environ=environ).err
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": issuer.client_id,
    }
    assert issuer.token_answer(form).status == 401


@pytest.mark.parametrize(
    "answer",
    [
        Answer(307, headers=(("Location", "/elsewhere"),)),
        text_answer(400, "no"),
        json_answer(401, {"error": {"code": "MARKED"}}),
        text_answer(404, "nothing here"),
        text_answer(500, "oops"),
        Answer(503, b"\xff" * 2_000_000),
    ],
    ids=lambda answer: str(answer.status),
)
def test_a_refusal_keeps_nothing_here(answer: Answer, codex_home: Path) -> None:
    """The issuer says no: that is told, and the file is gone all the same."""
    with RevokingIssuer(answer) as issuer:
        path = _write(codex_home, made_by(issuer.issuer))
        said = _sign_out(codex_home)
    assert NOT_TAKEN in said
    assert "is gone" in said
    assert not path.exists()


def test_a_hanging_issuer_is_not_waited_for(codex_home: Path) -> None:
    """The time for it is bounded; then the file goes."""

    def hang() -> Answer:
        issuer.stopped.wait(30)
        return text_answer(200, "")

    with RevokingIssuer(hang) as issuer:
        path = _write(codex_home, made_by(issuer.issuer))
        started = time.monotonic()
        said = _sign_out(codex_home, timeout=0.3)
        assert time.monotonic() - started < 3
    assert NOT_TAKEN in said
    assert not path.exists()


def test_an_issuer_that_is_gone(codex_home: Path) -> None:
    """Connection refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        issuer = f"http://127.0.0.1:{probe.getsockname()[1]}"
    path = _write(codex_home, made_by(issuer))
    outcome = _logout(codex_home, "--revoke")
    assert outcome.exit_code == 0
    assert NOT_TAKEN in outcome.err
    assert not path.exists()


def test_a_missing_certificate_file_keeps_nothing(codex_home: Path) -> None:
    """TLS that cannot even begin is a failure like others."""
    path = _write(codex_home, made_by("https://127.0.0.1:9"))
    outcome = _logout(codex_home, "--revoke", SSL_CERT_FILE="/nonexistent")
    assert outcome.exit_code == 0
    assert NOT_TAKEN in outcome.err
    assert not path.exists()


def test_a_broken_installation_keeps_nothing(
    codex_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong before a request can be made, the file has to go."""
    monkeypatch.setitem(sys.modules, "headless_login.issuer.client", None)
    path = _write(codex_home, made_by("http://127.0.0.1:9"))
    assert NOT_TAKEN in _sign_out(codex_home)
    assert not path.exists()


def test_a_redirect_is_not_followed(issuer: PracticeIssuer, codex_home: Path) -> None:
    """The token goes to nobody that the issuer points to."""
    away = Answer(307, headers=(("Location", f"{issuer.issuer}/oauth/revoke"),))
    with RevokingIssuer(away) as first:
        path = _write(codex_home, made_by(first.issuer))
        _sign_out(codex_home)
        assert len(first.requests) == 1
    assert issuer.requests == []
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [
        Credentials.api_key(KEY).content,
        document(auth_mode=..., OPENAI_API_KEY=KEY),
        document(auth_mode="apikey", OPENAI_API_KEY=KEY),
        with_tokens(refresh_token=""),
        {},
        {"auth_mode": "of a later version"},
    ],
)
def test_without_a_refresh_token_in_use_nobody_is_asked(content: object, codex_home: Path) -> None:
    """In API-key mode Codex sends nothing either, whatever stands beside the key."""
    with RevokingIssuer(text_answer(200, "")) as issuer:
        if isinstance(content, dict) and isinstance(content.get("tokens"), dict):
            provenance = {"issuer": issuer.issuer, "client_id": "x"}
            content = content | {"tokens": content["tokens"] | {"oauth_provenance": provenance}}
        path = _write(codex_home, content)
        said = _sign_out(codex_home)
        assert issuer.requests == []
    assert "There is no" in said
    assert not path.exists()


@pytest.fixture
def trap() -> Iterator[tuple[int, Callable[[], bool]]]:
    """A port on loopback, and whether anybody has connected to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def sprung() -> bool:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield server.getsockname()[1], sprung


@pytest.mark.parametrize(
    "issuer",
    [
        "http://evil.test:PORT",
        "http://127.0.0.1.evil.test:PORT",
        "http://localhost.evil.test:PORT",
        "http://127.0.0.1:PORT@evil.test",
        "http://user@127.0.0.1:PORT",
        "http://127.0.0.1:PORT/?x=",
        "http://127.0.0.1:PORT/#",
        "http://127.0.0.1:PORT/a b",
        " http://127.0.0.1:PORT",
        "HTTP://evil.test:PORT",
        "https://user@127.0.0.1:PORT",
        "https://user:password@127.0.0.1:PORT",
        "https://auth.openai.com@127.0.0.1:PORT",
        "https://auth.openai.com:443@127.0.0.1:PORT",
        "https://127.0.0.1:PORT\\@auth.openai.com",
        "https://127.0.0.1:PORT?x",
        "https://127.0.0.1:PORT\n",
        "//127.0.0.1:PORT",
        "127.0.0.1:PORT",
        "ftp://127.0.0.1:PORT",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "",
    ],
)
def test_an_issuer_that_cannot_be_trusted_gets_nothing(
    issuer: str, trap: tuple[int, Callable[[], bool]], codex_home: Path
) -> None:
    """No connection is made, by name, by proxy or by a disguise; the file goes."""
    port, sprung = trap
    path = _write(codex_home, made_by(issuer.replace("PORT", str(port))))
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), f"http://127.0.0.1:{port}")
    outcome = _logout(codex_home, "--revoke", **proxies)
    assert outcome.exit_code == 0
    assert "not revoked: auth.json names no issuer that can be trusted" in outcome.err
    assert not sprung()
    assert not path.exists()


@pytest.mark.parametrize("provenance", [7, "https://evil.test", {}, {"issuer": 7}])
def test_a_broken_provenance_is_not_guessed(provenance: object, codex_home: Path) -> None:
    """A token of nobody knows whom is not sent to Codex's issuer instead."""
    path = _write(codex_home, with_tokens(oauth_provenance=provenance))
    said = _sign_out(codex_home)
    assert "So nothing can be revoked" in said
    assert not path.exists()


def test_an_older_codexs_token_goes_to_codexs_issuer(
    trap: tuple[int, Callable[[], bool]], codex_home: Path
) -> None:
    """Without provenance it is Codex's own; here a proxy that is not one stops it."""
    port, sprung = trap
    _write(codex_home, document())
    environ = environment(codex_home, None, HTTPS_PROXY=f"http://127.0.0.1:{port}")
    with Piped("logout", "--revoke", environ=environ) as piped:
        deadline = time.monotonic() + 10
        while not (connected := sprung()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert connected
        outcome = piped.finish()
    assert outcome.exit_code == 0
    assert NOT_TAKEN in outcome.err
    assert not (codex_home / "auth.json").exists()


@needs_root
@pytest.mark.parametrize("linked", [".codex", ".codex/auth.json"])
def test_root_revokes_no_third_users_token(linked: str, issuer: PracticeIssuer) -> None:
    """Eve's link to the folder or file of a third user: nobody is asked, and the file stays."""
    with public_folder(NOBODY) as eve, public_folder(12345) as victim:
        for folder, owner in ((eve, NOBODY), (victim, 12345)):
            if folder == victim or linked != ".codex":
                (folder / ".codex").mkdir()
                os.chown(folder / ".codex", owner, owner)
        path = _write(victim / ".codex", made_by(issuer.issuer))
        os.chown(path, 12345, 12345)
        (eve / linked).symlink_to(victim / linked)
        os.lchown(eve / linked, NOBODY, NOBODY)
        said = StringIO()
        with pytest.raises(LocalTrouble, match="another user's link"):
            logout(CodexHome(f"{eve}/.codex"), Context(Output(Console(said)), {}), revoke=True)
        assert "another user's link to what is not theirs. So nothing can" in said.getvalue()
        assert path.exists()
    assert issuer.requests == []


def test_a_file_that_stays_is_told_after_the_revocation(
    issuer: PracticeIssuer, codex_home: Path
) -> None:
    """Both are said: revoked there, but still here."""
    _write(codex_home, made_by(issuer.issuer))
    (codex_home / "auth.lock").mkdir()
    said = StringIO()
    with pytest.raises(LocalTrouble, match=r"auth\.lock cannot be opened"):
        logout(CodexHome(str(codex_home)), Context(Output(Console(said)), {}), revoke=True)
    assert REVOKED in said.getvalue()
    assert "gone" not in said.getvalue()
    assert (codex_home / "auth.json").exists()
