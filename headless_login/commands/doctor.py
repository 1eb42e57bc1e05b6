"""`doctor`: what a sign-in needs here, and whether the present one will work, each with a remedy.

The checks stand where their subjects are; here they are gathered and printed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess  # nosec B404
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from headless_login.codex import diagnosis
from headless_login.codex.home import CodexHome
from headless_login.codex.preflight import check_folder
from headless_login.codex.rules import Rules
from headless_login.codex.stored import StoredSignIn
from headless_login.commands.command_line import tunnel_advice
from headless_login.commands.context import Context
from headless_login.errors import FAILED, OK, WARNING, Finding, HeadlessLoginError
from headless_login.flows.ports import check_ports
from headless_login.issuer.surroundings import look_around
from headless_login.oauth.provider import CODEX, LOOPBACK_PORTS
from headless_login.refresh import issuer_of, provider_of
from headless_login.terminal.browser import check_browser
from headless_login.terminal.output import Console
from headless_login.terminal.place import Place, SshConnection, detect_place
from headless_login.terminal.qr.capabilities import check_terminal, look_at

_NOTHING = StoredSignIn(mode=None)
_SIGNS = {OK: ("✓", "+"), WARNING: ("!", "!"), FAILED: ("✗", "x")}
_LIBRARIES = ("authlib", "joserfc", "requests", "typer")
_PATIENCE = 10.0  # seconds, for `codex --version`


def doctor(codex_home: str | None, context: Context, *, online: bool, as_json: bool) -> int:
    """Print all findings; returns the exit code: 1 if one is a failure, else 0.

    Raises:
        LocalTrouble: standard output cannot be written.
    """
    hide = _Hidden(context.environ)
    console = context.output.answer
    found: dict[str, list[str]] = {OK: [], WARNING: [], FAILED: []}
    for each in _all_findings(codex_home, context, hide, online=online):
        finding = Finding(each.name, each.status, hide(each.message), hide(each.remedy))
        found[finding.status].append(finding.name)
        if as_json:
            console.write(json.dumps(finding._asdict()) + "\n")
        else:
            _show(finding, console)
    if not as_json:
        failed = dict.fromkeys(found[FAILED])
        others = [name for name in dict.fromkeys(found[WARNING]) if name not in failed]
        console.say(
            f"Failed: {', '.join(failed) or 'nothing'}. "
            f"To look at: {', '.join(others) or 'nothing'}."
        )
    return 1 if found[FAILED] else 0


def _show(finding: Finding, console: Console) -> None:
    sign = _SIGNS[finding.status][look_at(console).blocks != "yes"]
    lines = console.wrapped(f"{sign} {finding.name}: {finding.message}", indent="  ")
    for line in finding.remedy.splitlines():  # each ends with a command, perhaps
        lines += console.wrapped(f"  > {line}", indent="    ")
    console.write("\n".join([*lines, ""]))


class _Hidden:
    """Takes out of a text what names a person, an account or a machine."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        from platform import node

        self._homes = [environ.get("HOME") or os.path.expanduser("~")]
        self._words: dict[str, str] = {}
        self.add("USER", *map(environ.get, ("USER", "LOGNAME", "SUDO_USER", "USERNAME")))
        if sys.platform == "win32":
            from headless_login.windows import profile_folder

            self._homes.append(profile_folder())
            self.add("USER", os.path.basename(profile_folder()))
        self.add("HOST", node(), environ.get("HOSTNAME"))
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            self.add("PROXY", *re.findall(r"(?:.*@|//|^)([\w.\-]+|\[.*\])", environ.get(name, "")))

    def add(self, shown: str, *words: str | None) -> None:
        """Have words shown as something else; `root` names nobody."""
        self._words |= dict.fromkeys((w for w in words if w and w not in ("root", "~")), shown)

    def __call__(self, text: str) -> str:
        """Return the text without any."""
        case = re.I if sys.platform == "win32" else 0
        for home in self._homes:
            if len(home) > 1:
                text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text, flags=case)
        for word in sorted(self._words, key=len, reverse=True):
            shown = self._words[word]
            # Users and machines may be called like a word that stands here: only in paths.
            before = r"(?<=[/\\])" if shown in ("USER", "HOST") else r"(?<!\w)"
            text = re.sub(rf"{before}{re.escape(word)}(?!\w)", shown, text, flags=case)
        return text


def _all_findings(
    codex_home: str | None, context: Context, hide: _Hidden, *, online: bool
) -> Iterator[Finding]:
    environ, now = context.environ, context.time_of_day()
    yield from _safely("versions", _versions, environ)
    stored, provider = None, CODEX
    try:
        home = CodexHome.find(codex_home, environ)
    except HeadlessLoginError as error:
        yield error.finding("folder")
    else:
        yield from _safely("folder", check_folder, home, environ)
        told, stored = diagnosis.check_file(home)
        yield told
        with suppress(HeadlessLoginError):
            provider = provider_of(stored or _NOTHING)
        if stored:
            who = stored.identity
            hide.add("ACCOUNT", who.email, who.account_id, who.user_id, stored.workspace_id)
        hide.add("ISSUER", None if provider.is_openai or provider.on_loopback else provider.host)
        findings, rules = diagnosis.check_policy(home)
        yield from findings
        if rules is not None:
            yield from _of_the_sign_in(home, stored, told, rules, environ, now)
    yield from _safely("clock", diagnosis.check_clock, stored, now)
    yield from _safely("ports", check_ports)
    yield from _safely("proxy", look_around, provider, environ)
    place = detect_place(environ)
    yield from _safely("terminal", check_terminal, context.output.console)
    yield _place(place)
    yield check_browser(environ, place)
    if online:
        yield from _safely("issuer", _online, stored, environ, now)


def _of_the_sign_in(
    home: CodexHome,
    stored: StoredSignIn | None,
    file: Finding,
    rules: Rules,
    environ: Mapping[str, str],
    now: float,
) -> Iterator[Finding]:
    yield from _safely("store", diagnosis.check_surroundings, home, rules, environ)
    if file.status == OK:
        yield from _safely("sign_in", diagnosis.check_sign_in, home, stored, rules, environ, now)


def _safely(
    name: str, check: Callable[..., Iterable[Finding]], *arguments: object
) -> Iterator[Finding]:
    """Yield what a check finds; one that fails itself is a finding, too, without any value."""
    try:
        yield from check(*arguments)
    except HeadlessLoginError as error:
        yield error.finding(name)
    except Exception as error:  # noqa: BLE001  # whatever a broken system lets out
        message = f"This could not be checked ({type(error).__name__})."
        yield Finding(name, WARNING, message, "Run it again; if it stays, report it.")


def _versions(environ: Mapping[str, str]) -> Iterator[Finding]:
    import platform
    from importlib.metadata import version as version_of

    version = sys.modules["headless_login"].__version__
    python, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    used = ", ".join(f"{name} {version_of(name)}" for name in _LIBRARIES)
    yield Finding("versions", OK, f"headless-login {version}, Python {python}, {system}; {used}.")
    from shutil import which

    if (codex := which("codex", path=environ.get("PATH"))) is None:
        yield Finding("codex", OK, "There is no codex on the PATH; the rules of 0.169 are assumed.")
        return
    # A folder that is not there: Codex makes files in the one that it is given.
    nowhere = {**environ, "CODEX_HOME": os.path.join(os.devnull, "none")}
    told = ""
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(  # nosec B603
            [codex, "--version"], capture_output=True, text=True, env=nowhere,
            stdin=subprocess.DEVNULL, timeout=_PATIENCE, check=True,
        ).stdout  # fmt: skip
    if found := re.search(r"\d+\.\d+\.\d+[\w.-]*", told):
        yield Finding("codex", OK, f"codex {found[0]}.")
    else:
        message = "codex --version does not say one."
        yield Finding("codex", WARNING, message, "Install it again: npm install -g @openai/codex")


def _place(place: Place) -> Finding:
    """Return where this is, and how a browser elsewhere reaches a port here."""
    names = ["ssh" if place.ssh else "", place.container, place.editor, place.multiplexer]
    names += ["WSL" if place.wsl else "", "CI" if place.ci else ""]
    where = ", ".join(filter(None, names)) or ("a screen" if place.has_screen else "no screen")
    ssh, pod = place.ssh and SshConnection("", "", 22), place.pod and ("NAMESPACE", "POD")
    nameless = place._replace(ssh=ssh, pod=pod)
    advice = tunnel_advice(nameless, LOOPBACK_PORTS[0], None)
    lines = ["Paste: headless-login login --paste-redirect", *advice] if advice else []
    return Finding("place", OK, f"{where}.", "\n".join(lines))


def _online(
    stored: StoredSignIn | None, environ: Mapping[str, str], now: float
) -> Iterator[Finding]:
    from headless_login.issuer.online import check_online

    found = stored or _NOTHING
    personal = found.mode == "personalAccessToken"
    token = found.api_key if personal else found.access_token
    ends = found.access_token_expires_at
    ended = ends is not None and ends <= now
    if stored and (ended or not token):
        why = "it has ended" if ended else "there is none (an API key is not sent anywhere)"
        yield Finding("access_token", OK, f"Not asked: {why}.")
        token = None
    yield from check_online(
        lambda: issuer_of(found, environ), token, found.workspace_id,
        personal=personal, environ=environ,
    )  # fmt: skip
