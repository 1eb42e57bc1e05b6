"""`demo`: the whole sign-in, for real, against the practice issuer and in a temporary folder."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from headless_login.codex.home import CodexHome
from headless_login.commands.context import Context, Options
from headless_login.commands.login import login
from headless_login.commands.status import report_status
from headless_login.delivery.destination import CodexFolder
from headless_login.oauth.provider import Provider
from headless_login.oauth.request import AuthorizationRequest
from headless_login.practice.issuer import PracticeIssuer
from headless_login.practice.person import approve
from headless_login.terminal.output import Output


def demo(context: Context) -> None:
    """Sign in as a person who does not exist; only the hand at the browser is played.

    Raises:
        HeadlessLoginError: as for `login`.
    """
    output = context.output
    output.say(
        "A practice sign-in: the issuer runs on this machine, no real account is touched, and "
        "everything is written into a temporary folder that goes away at the end.",
        "",
        "$ headless-login login --paste-redirect",
    )
    with TemporaryDirectory(prefix="headless-login-demo-") as folder, PracticeIssuer() as issuer:
        home = CodexHome(folder)
        options = Options(home, CodexFolder(home), Provider(issuer.issuer), paste=True)
        person = Context(output, context.environ, person=lambda request: _play(output, request))
        login(options, person)
        output.say("", "$ headless-login login status")
        text, _ = report_status(home, {}, context.time_of_day(), as_json=False)
        output.console.write(f"{text}\n")
    output.say("", "That is all. For your own account: headless-login login")


def _play(output: Output, request: AuthorizationRequest) -> str:
    """Do what the person does elsewhere: open the address, approve, copy the one it ends at."""
    output.say("", "[elsewhere: the practice person opens the address and presses Approve]")
    redirected_to = approve(request.url)
    output.say("[their browser ends at a page that cannot load; its address is pasted here]", "")
    return redirected_to
