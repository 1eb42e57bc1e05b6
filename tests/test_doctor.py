"""`doctor`: what is wrong with a machine and a sign-in, told without a name or a secret."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headless_login.codex.home import FAILURE, FOLDER, CodexHome
from headless_login.codex.journal import ANSWER_LOST, OUTCOME_UNKNOWN, Failure, token_hash
from headless_login.codex.keyring import user_name
from headless_login.codex.preflight import check_folder
from headless_login.codex.running import running_codexes
from headless_login.errors import Finding
from headless_login.flows.port_holder import find_holder
from headless_login.flows.ports import check_ports
from headless_login.issuer.client import IssuerClient
from headless_login.issuer.online import check_online
from headless_login.oauth.provider import Provider
from headless_login.oauth.text import clock_setting, unset
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.wire import Answer, nested, text_answer
from headless_login.terminal.browser import check_browser
from headless_login.terminal.place import detect_place
from tests.support.codex import NEWEST, require_codex, running_codex
from tests.support.keyring import secret_service
from tests.support.machine import (
    NOBODY,
    as_user,
    in_namespace,
    needs_proc,
    needs_root,
    posix_modes,
    posix_shell,
    public_folder,
)
from tests.support.own_etc import own_etc
from tests.support.program import COMMAND, Outcome, Terminal, environment, run, until, validator
from tests.support.renewing import Renewing
from tests.support.stored_files import (
    KEY,
    REFRESH_TOKEN,
    document,
    jwt,
    made_by,
    with_tokens,
    write,
)
from tests.support.tls import make_certificate, tls_in_front_of

WEEK = 7 * 86400
SOON = {"iat": int(time.time()) - 60, "exp": int(time.time()) + WEEK}
GOOD = with_tokens(access_token=jwt(SOON))
ENDED = jwt({"iat": int(time.time()) - WEEK, "exp": int(time.time()) - 60})


def _findings(outcome: Outcome) -> list[Finding]:
    """Return what `doctor --json` has printed, each line held against the schema."""
    found = [json.loads(line) for line in outcome.out.splitlines()]
    for each in found:
        validator("doctor").validate(each)
    findings = [Finding(**each) for each in found]
    assert all(each.remedy for each in findings if each.status != "ok")
    assert outcome.exit_code == int(any(each.status == "failed" for each in findings)), outcome
    assert outcome.err == ""
    return findings


def _doctor(home: CodexHome, *options: str, **extra: str) -> list[Finding]:
    environ = environment(home.path, None, **extra)
    return _findings(run("doctor", "--json", *options, environ=environ))


def _seen(findings: list[Finding], name: str, status: str) -> str:
    """Return what is said under a name, with a status, and what to do."""
    return "\n".join(f"{f.message} {f.remedy}" for f in findings if f[:2] == (name, status))


class Broken(NamedTuple):
    """What is broken, by variables and files in the folder, and how that is found."""

    name: str
    status: str
    said: str
    remedy: str
    environ: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    content: object = GOOD


MKDIR, EXPORT = "mkdir -m 700 -p", 'export CODEX_HOME="$HOME/.codex"'
NOT_MADE, BROKEN_CODEX = "/proc/1/none", {"bin/codex": "#!/bin/sh\nexit 1\n"}
if sys.platform == "win32":
    MKDIR, EXPORT = "mkdir", 'set "CODEX_HOME='
    NOT_MADE, BROKEN_CODEX = f"{__file__}\\none", {"bin/codex.cmd": "@exit /b 1\r\n"}
POLICY = "ROOT/codex/config.toml"
BROKEN = [
    Broken("folder", "warning", "does not exist, and Codex does not", MKDIR,
           {"CODEX_HOME": "/nonexistent/../tmp/no-such-folder"}),
    Broken("folder", "failed", "is no folder", "Move it away", {"CODEX_HOME": "/dev/null"}),
    Broken("folder", "failed", "cannot be made", "--codex-home", {"CODEX_HOME": NOT_MADE}),
    Broken("folder", "failed", "begins with a ~", EXPORT,
           {"CODEX_HOME": "~/.codex"}),
    Broken("auth_file", "failed", "not valid JSON", "Sign in again", content=b"{"),
    Broken("auth_file", "failed", "last_refresh", "Sign in", content=document(last_refresh="")),
    Broken("policy", "failed", "not valid TOML", "Fix that file", files={"config.toml": "="}),
    Broken("policy", "failed", "forced_login_method", "Fix that file",
           files={"config.toml": 'forced_login_method = "sso"'}),
    Broken("policy", "warning", "ignores in that file", "where it counts",
           files={"config.toml": 'allowed_login_methods = ["api"]'}),
    Broken("policy", "warning", "is not read by Codex", "remove it",
           files={"requirements.toml": ""}),
    Broken("policy", "warning", "ChatGPT is not allowed", "login --with-api-key",
           files={"config.toml": 'forced_login_method = "api"'}),
    Broken("sign_in", "failed", "removes auth.json when it starts", "Sign in as that allows",
           files={"config.toml": 'forced_login_method = "api"'}),
    Broken("sign_in", "failed", "does not allow the workspace of this sign-in (ACCOUNT)", "Sign in",
           files={"config.toml": 'forced_chatgpt_workspace_id = "other"'}),
    Broken("store", "failed", "never reads auth.json", 'cli_auth_credentials_store = "file"',
           files={"config.toml": 'cli_auth_credentials_store = "keyring"'}),
    Broken("environment", "failed", "CODEX_ACCESS_TOKEN is set", unset("CODEX_ACCESS_TOKEN"),
           {"CODEX_ACCESS_TOKEN": "at-MARKED"}),
    Broken("codex_exec", "warning", "`codex exec` uses that", unset("CODEX_API_KEY"),
           {"CODEX_API_KEY": KEY}),
    Broken("issuer_variable", "warning", "another server",
           unset("HEADLESS_LOGIN_ISSUER", "HEADLESS_LOGIN_CLIENT_ID"),
           {"HEADLESS_LOGIN_ISSUER": "http://127.0.0.1:1", "HEADLESS_LOGIN_CLIENT_ID": "app"}),
    Broken("sign_in", "warning", "Nobody is signed in", "headless-login login", content=None),
    Broken("sign_in", "failed", "Expired: the access token", "headless-login login",
           content=with_tokens(access_token=ENDED, refresh_token="")),
    Broken("sign_in", "failed", "mode that Codex 0.169 does not know", "Sign in again",
           content={"auth_mode": "mindReading"}),
    Broken("account", "warning", "no account id", "headless-login login",
           content=with_tokens(account_id=None, access_token=jwt(SOON))),
    Broken("account", "warning", "another account's", "headless-login login",
           content=with_tokens(access_token=jwt(
               SOON | {"https://api.openai.com/auth": {"chatgpt_account_id": "other"}}))),
    Broken("clock", "failed", "tokens come from the future", clock_setting(),
           content=with_tokens(access_token=jwt({"iat": time.time() + WEEK, "exp": 9e10}))),
    Broken("proxy", "failed", "HTTPS_PROXY is not the address", unset("HTTPS_PROXY"),
           {"HTTPS_PROXY": "http://ada:MARKED@[::1:3128"}),
    Broken("certificates", "failed", "cannot be read: No such file", unset("SSL_CERT_FILE"),
           {"SSL_CERT_FILE": "/nonexistent/ca.pem"}),
    Broken("certificates", "failed", "names no folder", unset("SSL_CERT_DIR"),
           {"SSL_CERT_DIR": "/nonexistent"}),
    Broken("terminal", "warning", "is no terminal", "headless-login login start"),
    Broken("codex", "warning", "does not say one", "npm install", {"PATH": "BIN"},
           BROKEN_CODEX),
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN, ids=lambda each: f"{each.name}: {each.said}")
def test_what_is_broken_is_found(broken: Broken, home: CodexHome) -> None:
    """Each with what to do, and no secret."""
    if broken.content is not None:
        write(home, broken.content)
    for name, text in broken.files.items():
        path = Path(home.path, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    environ = environment(home.path, None, **broken.environ)
    environ["PATH"] = environ["PATH"].replace("BIN", f"{home.path}/bin")
    outcome = run("doctor", "--json", environ=environ)
    said = _seen(_findings(outcome), broken.name, broken.status)
    assert broken.said in said, outcome.out
    assert broken.remedy in said
    assert "MARKED" not in outcome.out


def test_all_is_well(home: CodexHome) -> None:
    """Nothing has failed, exit code 0; what a refresh alone could tell is said not to be known."""
    write(home, GOOD)
    found = _doctor(home)
    assert not [each for each in found if each.status == "failed"]
    assert "whether the refresh token still works is not known" in _seen(found, "sign_in", "ok")


NAMES = ("ada", "example", "acc-1", "grace", "wonderland", "bastion", "secret-proxy", "192.0.2")


def test_the_report_names_nobody_and_changes_nothing(tmp_path: Path) -> None:
    """No secret, user, host, account; folders below the home as `~`; every file as it was."""
    path = tmp_path / "grace" / "codex-of" / "grace"
    path.mkdir(parents=True)
    home = CodexHome(str(path))
    claims = {"https://api.openai.com/auth": {"chatgpt_account_id": "acc-1"}}
    write(home, with_tokens(access_token=jwt(SOON | claims)), mode=0o644)
    Path(home.config_file).write_text('forced_chatgpt_workspace_id = "wonderland"')
    before = _snapshot(tmp_path)
    extra = {
        "USER": "grace", "USERNAME": "grace", "HOSTNAME": "bastion",
        "HOME": str(tmp_path / "grace"),
        "HTTPS_PROXY": "http://ada:MARKED@secret-proxy.example:3128",
        "SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22",
    }  # fmt: skip
    for options in ((), ("--json",)):
        outcome = run("doctor", *options, environ=environment(home.path, None, **extra))
        assert re.search(r"~[/\\]+codex-of[/\\]+USER", outcome.out), outcome.out
        assert "1455:localhost:1455" in outcome.out
        assert not [name for name in (*NAMES, "MARKED") if name in outcome.out], outcome.out
    assert _snapshot(tmp_path) == before


def test_the_text_can_be_copied_line_by_line(home: CodexHome) -> None:
    """A command ends its line; what has failed is not named again among what is to be looked at."""
    Path(home.config_file).write_text("=")  # a failure of the policy, and a warning of it:
    Path(home.path, "requirements.toml").touch()
    environ = environment(home.path, None, SSH_CONNECTION="192.0.2.1 50000 192.0.2.2 22")
    lines = run("doctor", environ=environ).out.splitlines()
    at = lines.index(next(line for line in lines if "place: " in line))
    assert lines[at + 1 : at + 4] == [
        "  > Paste: headless-login login --paste-redirect",
        "  > Or run, in a second terminal on the browser's machine:",
        "  > ssh -N -L 1455:localhost:1455 THIS-MACHINE",
    ]
    assert lines[-1].startswith("Failed: policy. To look at: ")
    assert lines[-1].count("policy") == 1


def _snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_mode, status.st_ino, content)
    return found


# Notes each address that a socket is used with, and the forbidden modules at the end.
WATCH = """
import sys
used = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.bind"):
        used.append(f"{arguments[1]!r}")
    elif event.startswith(("socket.getaddrinfo", "socket.gethost", "socket.getname")):
        used.append(event)
sys.addaudithook(hook)
from headless_login.cli import main
main(sys.argv[1:])
heavy = {"requests", "authlib", "joserfc", "cryptography", "urllib3"} & {*sys.modules}
print("USED", used, heavy)
"""


@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"], ["login", "status"]])
def test_no_network_is_touched(arguments: list[str], home: CodexHome) -> None:
    """Sockets meet this machine itself alone, no name is looked up, no HTTP library is loaded."""
    write(home, GOOD)
    environ = environment(home.path, None, HTTPS_PROXY="http://192.0.2.9:3128")
    for address in _used(arguments, environ):
        assert "'127.0.0.1'" in address or "'::1'" in address


@pytest.mark.parametrize("arguments", [["doctor"], ["login", "status"]])
def test_a_keyring_is_asked_by_nothing_heavy(
    arguments: list[str], home: CodexHome, tmp_path: Path
) -> None:
    """The user's own D-Bus is no network, and what it brings is as good as before."""
    write(home, GOOD)
    Path(home.config_file).write_text('cli_auth_credentials_store = "auto"')
    with secret_service(tmp_path) as service:
        environ = environment(home.path, None, **service.environ)
        assert any("bus" in address for address in _used(arguments, environ))
        assert _seen(_doctor(home, **service.environ), "store", "ok")
        service.keep(user_name(home), json.dumps(GOOD))
        found = _doctor(home, **service.environ)
    assert "codex logout" in _seen(found, "store", "failed")


def _used(arguments: list[str], environ: dict[str, str]) -> list[str]:
    """Run a command, and return the addresses that it met, none of them by a heavy library."""
    command = [sys.executable, "-c", WATCH, *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    *_, used = done.stdout.splitlines()
    addresses, heavy = used.removeprefix("USED ").rsplit("] ", 1)
    assert heavy == "set()"
    return [each for each in addresses.strip("[]").split('", "') if each]


# Why somebody is signed out: what the issuer said, what an earlier command noted.

REFUSALS = [
    (401, "refresh_token_reused", "failed", "Copied: another copy of this auth.json"),
    (401, "refresh_token_invalidated", "failed", "Revoked: by a logout"),
    (401, "refresh_token_expired", "failed", "Expired: the refresh token was not used"),
    (401, "no_such_word", "failed", "Refused: the issuer takes the refresh token no more"),
    (503, "busy", "warning", "a refresh failed (issuer_unreachable); that may have passed"),
]


@pytest.mark.parametrize(("http", "code", "status", "said"), REFUSALS)
def test_why_one_is_signed_out(
    http: int, code: str, status: str, said: str, renewing: Renewing
) -> None:
    """The last answer to a refresh, as `token` met it, its time, and the one command that helps."""
    renewing.change(access_token=ENDED)
    renewing.issuer.refreshing = nested(http, code, "no")
    assert renewing.token().exit_code != 0
    found = _seen(_doctor(renewing.home), "sign_in", status)
    assert said in found
    assert time.strftime("%Y-%m-%d", time.gmtime()) in found
    assert ("headless-login login" if status == "failed" else "token --refresh") in found
    shown = run("login", "status", environ=renewing.environ).out
    assert ("Warning: the issuer refused the refresh token at" in shown) is (status == "failed")
    # Another sign-in is another matter.
    renewing.sign_in()
    assert _seen(_doctor(renewing.home), "sign_in", "ok")


NOTED = [
    ("issuer_unreachable", OUTCOME_UNKNOWN, "warning", "got no answer", "token --refresh"),
    ("unexpected_account", "", "failed", "Another account", "headless-login login"),
    ("refresh_refused", "refresh_token_reused", "failed", "Copied", "headless-login login"),
]


@pytest.mark.parametrize(("error", "code", "status", "said", "remedy"), NOTED)
def test_what_an_earlier_command_noted(
    error: str, code: str, status: str, said: str, remedy: str, home: CodexHome
) -> None:
    """While the access token works, a refusal is no failure yet."""
    write(home, with_tokens(access_token=ENDED))
    _note(home, error, code)
    assert said in (found := _seen(_doctor(home), "sign_in", status))
    assert remedy in found
    write(home, GOOD)
    if error == "refresh_refused":
        assert "works until" in _seen(_doctor(home), "sign_in", "warning")


def test_lost_answers_and_kept_accounts(home: CodexHome) -> None:
    """Used up by ourselves; newer tokens that are kept; another account to go back to."""
    write(home, with_tokens(access_token=ENDED))
    _note(home, "refresh_refused", ANSWER_LOST)
    assert "Reused: the answer to an earlier" in _seen(_doctor(home), "sign_in", "failed")
    kept = {"format": 1, "last_present": 1.0, "auth_json": json.dumps(GOOD)}
    folder = Path(home.path, FOLDER, "accounts")
    folder.mkdir(mode=0o700)
    (folder / "one.json").write_text(json.dumps(kept))
    (folder / "two.json").write_text("{")
    assert "Newer tokens of this account are kept" in _seen(_doctor(home), "sign_in", "failed")
    before = _snapshot(Path(home.path))
    assert _doctor(home)
    assert _snapshot(Path(home.path)) == before
    os.unlink(home.auth_file)
    assert "headless-login accounts use -" in _seen(_doctor(home), "sign_in", "warning")


@needs_proc
def test_a_codex_of_another_account(home: CodexHome) -> None:
    """It began before the switch, and is named; one that began afterwards is not."""
    environ = environment(home.path, None)
    keys = [f"sk-proj-{name}-0123456789abcdefghij" for name in ("first", "second")]
    run("login", "--with-api-key", environ=environ, stdin=keys[0])
    with running_codex(Path(home.path), "app-server") as early:
        until(lambda: running_codexes(home), wanted="a Codex")
        run("login", "--with-api-key", environ=environ, stdin=keys[1])
        with running_codex(Path(home.path), "app-server") as late:
            until(lambda: len(running_codexes(home)) == 2, wanted="another Codex")
            told = _seen(_doctor(home), "account", "warning")
    assert f"process {early.pid}," in told
    assert f"process {late.pid}," not in told


def _note(home: CodexHome, error: str, code: str) -> None:
    failure = Failure(token_hash(REFRESH_TOKEN), error, code, "no", "", time.time())
    folder = Path(home.path, FOLDER)
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / FAILURE).write_text(json.dumps({"format": 1, **failure._asdict()}))


# The machine itself.


@pytest.mark.usefixtures("codexs_ports")
def test_who_holds_the_ports(home: CodexHome) -> None:
    with socket.create_server(("127.0.0.1", 1455)):
        found = _doctor(home)
        if sys.platform == "win32" and find_holder(1455) is None:
            pytest.skip("Wine: it tells no process of a socket")
    assert f"process {os.getpid()}" in (said := _seen(found, "port_1455", "warning"))
    assert "--paste-redirect" in said
    assert _seen(found, "port_1457", "ok")


def test_a_machine_without_loopback(home: CodexHome) -> None:
    """In a network of its own, in which nothing is up."""
    environ = environment(home.path, None)
    script = 'exec unshare -n "$1" doctor --json'
    done = in_namespace(script, COMMAND, environ=environ)
    if not done.stdout:
        pytest.skip("no network namespaces here")
    found = _findings(Outcome(done.returncode, done.stdout, done.stderr))
    assert "ip link set lo up" in _seen(found, "loopback_ipv4", "failed")
    assert "not needed" in _seen(found, "loopback_ipv6", "ok")


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        ("127.0.0.1 localhost\n::1 localhost ip6-localhost # x\n", "ok"),
        ("127.0.0.1 myself\n# 127.0.0.1 localhost\n", "warning"),
        ("192.0.2.7\tother localhost\n", "failed"),
    ],
)
def test_what_localhost_is(hosts: str, status: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(hosts)
    found = [*check_ports((), hosts_file=str(tmp_path / "hosts"), platform="linux")]
    assert found[-1][:2] == ("localhost", status)
    assert "192.0.2.7" not in found[-1].message


def test_a_port_that_the_system_keeps() -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError(13, "no")

    first, *_ = check_ports((1455,), listen=refuse, platform="win32")
    assert first[:2] == ("port_1455", "warning")
    assert "netsh" in first.remedy


@pytest.mark.parametrize(
    ("platform", "remedy"),
    [("linux", "ip link set lo up"), ("darwin", "ifconfig lo0 up"), ("win32", "firewall")],
)
def test_what_helps_without_loopback_is_of_the_system(platform: str, remedy: str) -> None:
    def refuse(*_: object) -> socket.socket:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "no")

    first, *_ = check_ports((), listen=refuse, platform=platform)
    assert first[:2] == ("loopback_ipv4", "failed")
    assert remedy in first.remedy


FULL = """mount -t tmpfs -o size=1m,mode=0700 t "$1"
head -c {} /dev/zero >"$1/f" 2>&- || true
exec "$2\""""
READ_ONLY = 'mount -t tmpfs -o ro,mode=0700 t "$1"; exec "$2"'


@pytest.mark.parametrize(
    ("script", "name", "status", "said"),
    [
        (FULL.format("1100k"), "space", "failed", "0 MiB are free"),
        (FULL.format("1100k"), "permissions", "failed", "the disk is full"),
        (FULL.format("100k"), "space", "warning", "0 MiB are free"),
        (READ_ONLY, "permissions", "failed", "read-only"),
    ],
)
def test_disks(script: str, name: str, status: str, said: str, home: CodexHome) -> None:
    environ = environment(home.path, None)
    done = in_namespace(f"{script} doctor --json", home.path, COMMAND, environ=environ)
    found = _findings(Outcome(done.returncode, done.stdout, done.stderr))
    assert said in _seen(found, name, status)


@posix_modes
def test_permissions(home: CodexHome) -> None:
    """Who else can read it, and which command mends that."""
    write(home, GOOD, mode=0o644)
    os.chmod(home.path, 0o777)  # noqa: S103
    said = _seen(_doctor(home), "permissions", "warning")
    assert "chmod 600 ~/auth.json" in said
    assert "chmod o-w ~" in said


@needs_root
@pytest.mark.parametrize(("owner", "said"), [(0, "root"), (1, "another user"), (NOBODY, "you")])
def test_a_folder_that_takes_nothing(owner: int, said: str) -> None:
    """As `sudo codex` leaves it, or a colleague: whose it is, without a name."""
    with public_folder(owner) as folder:
        folder.chmod(0o555)
        told = as_user(NOBODY, lambda: [*check_folder(CodexHome(str(folder)), {})])
    assert "chown" in told
    assert f"belongs to {said}." in told


def test_every_layer_of_policy(tmp_path: Path, home: CodexHome) -> None:
    """Each file is named with what it sets; a broken one, or one that forbids all, has failed."""
    write(home, GOOD)
    with own_etc(tmp_path) as machine:
        for files, status, said in (
            ({"config.toml": "a = 1"}, "ok", "No file limits"),
            (
                {"requirements.toml": 'allowed_login_methods = ["chatgpt"]'},
                *("ok", "/etc/codex/requirements.toml sets allowed_login_methods"),
            ),
            ({"managed_config.toml": "="}, "failed", "managed_config.toml cannot be used"),
            ({"requirements.toml": "allowed_login_methods = []"}, "failed", "No way to sign in"),
        ):
            machine.set_policy(files)
            environ = environment(home.path, None)
            code, out = machine.run([COMMAND, "doctor", "--json"], environ)
            assert said in _seen(_findings(Outcome(code, out, "")), "policy", status), out


@pytest.mark.parametrize(
    ("environ", "which", "status"),
    [
        ({"DISPLAY": ":0"}, lambda _: "/usr/bin/it", "ok"),
        ({"DISPLAY": ":0"}, lambda _: None, "warning"),
        ({"DISPLAY": ":0", "BROWSER": "w3m"}, lambda _: "/usr/bin/w3m", "warning"),
        ({}, lambda _: None, "ok"),
    ],
)
def test_browsers(environ: dict[str, str], which: Callable[[str], str | None], status: str) -> None:
    """Looked for, never started."""
    place = detect_place(environ, platform="linux", exists=lambda _: False)
    found = check_browser(environ, place, platform="linux", which=which)
    assert found[:2] == ("browser", status)


# On a terminal.


@pytest.mark.parametrize(
    ("columns", "rows", "variables", "name", "said"),
    [
        (80, 24, {}, "terminal", "✓ terminal: 80x24, colours, UTF-8."),
        (60, 20, {}, "terminal", "! terminal: 60x20, colours, UTF-8: small."),
        (80, 24, {}, "qr_code", "✓ qr_code: A QR code fits with --device-auth alone."),
        (200, 60, {}, "qr_code", "✓ qr_code: The QR code of the address fits."),
        (40, 10, {}, "qr_code", "! qr_code: A QR code fits nowhere."),
        (80, 24, {"TERM": "dumb"}, "terminal", "! terminal: TERM is dumb"),
        (80, 24, {"LANG": "C", "PYTHONIOENCODING": "ascii"}, "terminal", "+ terminal: 80x24"),
    ],
)
def test_terminals(
    columns: int, rows: int, variables: dict[str, str], name: str, said: str, home: CodexHome
) -> None:
    """Its size, its letters, and which QR codes fit; no line is wider than it is."""
    environ = environment(home.path, None, **variables)
    with Terminal("doctor", environ=environ, columns=columns, rows=rows) as terminal:
        assert terminal.wait() == 0
    lines = terminal.text.replace("\r\n", "\n").splitlines()
    found = next(line for line in lines if f" {name}:" in line)
    assert found.startswith(said)
    assert all(len(line) <= columns or " " not in line.strip() for line in lines)


# Whatever is missing.


@posix_shell
def test_it_works_in_every_broken_state(tmp_path: Path) -> None:
    """Nothing it needs may be missing: home, current folder, names, streams."""
    gone = tmp_path / "gone"
    for script in (
        'env -u HOME -u CODEX_HOME PATH= "$2" doctor',
        'cd "$1"; rmdir "$1"; env CODEX_HOME=relative "$2" doctor',
        '"$2" doctor 2>&-',
        '"$2" doctor <&-',
        'env HOME=/dev/null "$2" doctor',
        'env CODEX_HOME="$(printf "/tmp/a\\033b\\377")" "$2" doctor',
        'ulimit -n 12; "$2" doctor',
        'ulimit -f 0; "$2" doctor',
    ):
        gone.mkdir(exist_ok=True)
        done = subprocess.run(
            ["sh", "-c", script, "sh", str(gone), COMMAND],
            env=environment(tmp_path, None), capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode in (0, 1), (script, done)
        assert b"Traceback" not in done.stdout + done.stderr, script
        assert b"defect" not in done.stdout + done.stderr, script
        assert done.stdout.count(b": ") > 10, script
        assert b"\x1b" not in done.stdout


@posix_shell
def test_a_closed_standard_output() -> None:
    script = '"$1" doctor >&-'
    done = subprocess.run(
        ["sh", "-c", script, "sh", COMMAND],
        env=environment(None, None), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 6
    assert "Standard output cannot be written" in done.stderr


def test_the_version_of_codex_is_asked_without_a_trace(home: CodexHome) -> None:
    """The real one makes files in the folder that it is started with."""
    folder = require_codex(NEWEST).parent
    before = _snapshot(Path(home.path))
    environ = environment(home.path, None)
    environ["PATH"] = f"{folder}{os.pathsep}{environ['PATH']}"
    found = _findings(run("doctor", "--json", environ=environ))
    assert f"codex {NEWEST}." in _seen(found, "codex", "ok")
    assert _snapshot(Path(home.path)) == before


# With a network.

USAGE = "/backend-api/wham/usage"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (None, "ok", "It still works."),
        (nested(401, "token_revoked", "MARKED"), "failed", "refused (HTTP 401)"),
        (text_answer(403, "MARKED"), "warning", "not judged (HTTP 403)"),
        (text_answer(403, "MARKED", ("cf-mitigated", "challenge")), "warning", "challenge page"),
        (text_answer(429, "MARKED"), "warning", "not judged (HTTP 429)"),
        (text_answer(500, "MARKED"), "warning", "not judged (HTTP 500)"),
    ],
)
def test_whether_the_access_token_works(
    answer: Answer | None, status: str, said: str, renewing: Renewing, monkeypatch: Any
) -> None:
    """By the one request that Codex makes, at the file's issuer; no refresh token leaves it."""
    if answer:
        monkeypatch.setattr(renewing.issuer, "usage_answer", lambda: answer)
    before, asked = renewing.content, len(renewing.issuer.requests)
    found = _doctor(renewing.home, "--online", HEADLESS_LOGIN_ISSUER="http://127.0.0.1:1")
    assert said in _seen(found, "access_token", status)
    for name in ("dns", "tls", "issuer", "clock_offset"):
        assert _seen(found, name, "ok"), found
    requests = renewing.issuer.requests[asked:]
    assert [each.path for each in requests] == ["/.well-known/jwks.json", USAGE]
    assert requests[0].headers.get("Authorization") is None
    assert requests[1].headers["Authorization"] == f"Bearer {renewing.tokens['access_token']}"
    assert requests[1].headers["ChatGPT-Account-Id"] == renewing.tokens["account_id"]
    sent = "".join(f"{each.path}{each.headers}{each.body!r}" for each in requests)
    assert renewing.tokens["refresh_token"] not in sent
    assert renewing.content == before


def test_tokens_that_are_not_asked_about(renewing: Renewing) -> None:
    """One that has ended, and a key, which may be another server's."""
    renewing.change(access_token=ENDED)
    assert "it has ended" in _seen(_doctor(renewing.home, "--online"), "access_token", "ok")
    assert USAGE not in {each.path for each in renewing.issuer.requests}


def test_an_issuer_that_is_away(home: CodexHome) -> None:
    write(home, made_by("http://127.0.0.1:1", access_token=jwt(SOON)))
    assert "refused" in _seen(_doctor(home, "--online"), "issuer", "failed")


def test_a_name_that_is_unknown(issuer: PracticeIssuer) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    client = IssuerClient(Provider(issuer.issuer), environ={})
    found = [*check_online(lambda: client, None, None, environ={}, resolve=unknown)]
    assert ("name servers" if sys.platform == "win32" else "/etc/resolv.conf") in _seen(
        found, "dns", "failed"
    )


def test_a_certificate_that_nobody_knows(
    issuer: PracticeIssuer, home: CodexHome, tmp_path: Path
) -> None:
    certificate, key = make_certificate(tmp_path, "localhost")
    with tls_in_front_of(int(issuer.issuer.rpartition(":")[2]), certificate, key) as port:
        write(home, made_by(f"https://localhost:{port}", access_token=jwt(SOON)))
        found = _doctor(home, "--online")
        assert "CODEX_CA_CERTIFICATE" in _seen(found, "tls", "failed")
        found = _doctor(home, "--online", CODEX_CA_CERTIFICATE=str(certificate))
    assert "trusted" in _seen(found, "tls", "ok")


def test_a_clock_that_is_wrong(home: CodexHome) -> None:
    with PracticeIssuer(now=lambda: time.time() - 3600) as issuer:
        write(home, made_by(issuer.issuer))
        found = _doctor(home, "--online")
    assert "set it right" in _seen(found, "clock_offset", "failed")
    assert "HTTP 401" in _seen(found, "access_token", "failed")
