"""The two pages a person can meet: small, without anything from elsewhere, everything escaped."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headless_login.practice.wire import Answer

if TYPE_CHECKING:
    from headless_login.practice.grants import AuthorizationRequest
    from headless_login.practice.person import Person

_STYLE = """
:root { color-scheme: light dark; --back: #f4f4f1; --card: #fff; --text: #1c1d1f; --soft: #5c5f66;
  --line: #dcdcd6; --note: #fff4d6; --edge: #b07d00; --act: #14633f; --on-act: #fff }
@media (prefers-color-scheme: dark) { :root { --back: #16171a; --card: #202226; --text: #ececec;
  --soft: #a8abb3; --line: #3a3d44; --note: #3a3115; --edge: #d9a92e; --act: #7fd6ab;
  --on-act: #10261b } }
* { box-sizing: border-box }
body { margin: 0; padding: 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 30rem; margin: 4vh auto; padding: 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem }
h1 { margin: 0 0 1rem; font-size: 1.35rem; line-height: 1.25 }
.note { margin: 0 0 1.25rem; padding: .75rem 1rem; background: var(--note);
  border-left: .25rem solid var(--edge); border-radius: .25rem }
dl { margin: 0 } dt { color: var(--soft); font-size: .875rem } dd { margin: 0 0 .75rem }
dd, code { overflow-wrap: anywhere } code { font-size: .9em }
form { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.25rem }
button { flex: 1 1 9rem; min-height: 2.75rem; font: inherit; font-weight: 600; cursor: pointer;
  border: 1px solid var(--line); border-radius: .5rem; background: none; color: inherit }
button.act { background: var(--act); border-color: var(--act); color: var(--on-act) }
button:focus-visible { outline: 3px solid var(--edge); outline-offset: 2px }
"""
_STYLE_SOURCE = f"'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"

_NOTE = """<p class="note"><strong>This is a practice issuer.</strong> It is not OpenAI, it asks for
no password, and there is no real account behind it.</p>"""


def authorize_page(request: AuthorizationRequest, person: Person, ticket: str) -> Answer:
    """Return the page that asks the person, with a form that carries the ticket."""
    rows = {
        "Program": request.originator or request.client_id,
        "Signs in as": f"{person.email} ({person.plan})",
        "Account": person.account_id,
        "Only in the workspaces": ", ".join(request.allowed_workspace_ids),
        "Asks for": request.scope.replace(" ", ", "),
        "Sends the answer to": request.redirect_uri,
    }
    listed = "".join(
        f"<dt>{name}</dt><dd>{escape(value)}</dd>\n" for name, value in rows.items() if value
    )
    content = f"""<dl>\n{listed}</dl>
<p>Approve only if you started this sign-in yourself.</p>
<form method="post" action="/oauth/authorize">
<input type="hidden" name="ticket" value="{escape(ticket)}">
<button class="act" name="decision" value="approve">Approve</button>
<button name="decision" value="deny">Deny</button>
</form>"""
    targets = f"'self' {_form_target(request.redirect_uri)}"
    return _page(200, "Practice sign-in", content, form_action=targets)


def device_page(person: Person) -> Answer:
    """Return the page on which the person types a one-time code and decides."""
    content = f"""<p>Signs in as {escape(person.email)} ({escape(person.plan)}).</p>
<p>Continue only if you started this sign-in yourself.</p>
<form method="post" action="/codex/device">
<label>One-time code <input name="user_code" autocomplete="off" autocapitalize="characters"></label>
<button class="act" name="decision" value="approve">Approve</button>
<button name="decision" value="deny">Deny</button>
</form>"""
    return _page(200, "Practice sign-in on a device", content, form_action="'self'")


def message_page(title: str, text: str) -> Answer:
    """Return a page that only tells something."""
    return _page(200, title, f"<p>{escape(text)}</p>")


def error_page(reason: str, value: str = "") -> Answer:
    """Return a 400 that tells the person what is wrong, with the value that is."""
    shown = f"<p><code>{escape(value[:500])}</code></p>" if value else ""
    content = f"<p>{escape(reason)}</p>{shown}\n<p>Nothing was approved. Start a new sign-in.</p>"
    return _page(400, "This sign-in cannot go on", content)


def _page(status: int, title: str, content: str, *, form_action: str = "'none'") -> Answer:
    html = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · practice issuer</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{_NOTE}
{content}
</main>
</body>
</html>
"""
    policy = (
        f"default-src 'none'; style-src {_STYLE_SOURCE}; img-src data:; "
        f"form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
    )
    return Answer(status, html.encode(), headers)


def _form_target(redirect_uri: str) -> str:
    """Return the source expression that lets the form's answer redirect there.

    Chromium and WebKit hold form-action against redirects too (w3c/webappsec-csp#8), and CSP's
    grammar has no IPv6 addresses (CSP3 §2.3.1), so that [::1] needs the whole scheme.
    """
    parts = urlsplit(redirect_uri)
    return "http:" if ":" in (parts.hostname or "") else f"http://{parts.netloc}"
