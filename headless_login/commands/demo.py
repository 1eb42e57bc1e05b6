"""`demo`: the whole sign-in, for real, against the practice issuer and in a temporary folder."""

from __future__ import annotations

import time
from tempfile import TemporaryDirectory

from headless_login.codex.home import CodexHome
from headless_login.commands.options import Options
from headless_login.commands.sign_in import SignIn
from headless_login.commands.status import report_status
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import AuthorizationRequest
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from headless_login.terminal.output import Console, Listeners


def run_demo(listeners: Listeners) -> None:
    """Sign in as a person who does not exist; only the hand at the browser is played.

    Raises:
        HeadlessLoginError: as for `login`.
    """
    console = listeners.console
    console.say(
        "A practice sign-in: the issuer runs on this machine, nobody's account is touched, and "
        "everything is written into a temporary folder that goes away at the end.",
        "",
        "$ headless-login login --paste-redirect",
    )
    with TemporaryDirectory(prefix="headless-login-demo-") as folder, PracticeIssuer() as issuer:
        options = Options(Provider(issuer.issuer), codex_home=folder, paste=True)
        SignIn(options, listeners, answer=lambda request: _play(console, request)).run()
        console.say("", "$ headless-login login status")
        text, _ = report_status(CodexHome(folder), {}, time.time(), as_json=False)
        console.write(f"{text}\n")
    console.say("", "That is all. For your own account: headless-login login")


def _play(console: Console, request: AuthorizationRequest) -> str:
    """Do what the person does elsewhere: open the address, approve, copy where it ends."""
    console.say("", "[elsewhere: the practice person opens the address and presses Approve]")
    redirected_to = approve(request.url)
    console.say("[their browser ends at a page that cannot load; its address is pasted here]", "")
    return redirected_to
