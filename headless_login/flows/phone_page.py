"""What a phone is shown: the sign-in to open, and the field for the address that it ends at.

Self-contained and without scripts, in dark and light, made for a thumb. The address to open stands
in it once, as the link; it holds the state and the challenge, and nothing that is secret.
"""

from __future__ import annotations

from html import escape

from headless_login.flows.page import STYLE, document, headers_for
from headless_login.typed import NamedTuple

_STYLE = f"""{STYLE}
body {{ padding: 12px }}
main {{ padding: 20px; text-align: start }}
h2 {{ margin: 1.5rem 0 0; font-size: 1rem }}
.button, button {{ display: block; width: 100%; min-height: 3rem; margin-top: .75rem;
  padding: .7rem 1rem; border: 0; border-radius: 10px; background: var(--good); color: var(--card);
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer }}
textarea {{ display: block; width: 100%; min-height: 4.5rem; margin-top: .75rem; padding: .7rem;
  border: 1px solid var(--soft); border-radius: 10px; background: var(--ground); color: inherit;
  font: inherit; overflow-wrap: anywhere }}
::placeholder {{ color: var(--soft); opacity: 1 }}
:focus-visible {{ outline: 3px solid var(--good); outline-offset: 2px }}
.refused {{ margin-top: 1.1rem; padding: .7rem .9rem; border-radius: 10px; text-wrap: wrap;
  color: var(--bad); background: var(--bad-tint) }}
p {{ text-wrap: wrap }}
"""
HEADERS = headers_for(_STYLE, "'self'")
FIELD = "answer"
TOO_MANY = "Too many wrong answers came from this address. Wait a minute, then try again."
HELD = "wait"  # the query of the request that is answered when something has changed


class About(NamedTuple):
    """What is signed in: user, host and when it was begun, in words; and the address to open.

    `is_confirmed` tells that the terminal asks about the identity before anything is written.
    """

    user: str
    host: str
    begun: str
    url: str
    is_confirmed: bool


def form(about: About, refused: str = "") -> bytes:
    """Return the page that leads to the sign-in and takes its end; `refused` says what was wrong.

    Its form goes to where it was loaded from.
    """
    told = f'<p class="refused" role="alert">{escape(refused)}</p>\n' if refused else ""
    user = f"<strong>{escape(about.user)}</strong> on " if about.user else ""
    end = " The terminal asks before it is saved." if about.is_confirmed else ""
    content = f"""<h1>Sign in to Codex</h1>
<p>For {user}<strong>{escape(about.host)}</strong>, asked for at {escape(about.begun)}. Go on only
if you started this yourself.{end}</p>
{told}<h2>1. Sign in</h2>
<a class="button" href="{escape(about.url)}" target="_blank" rel="noopener noreferrer">\
Open the sign-in</a>
<form method="post">
<h2><label for="answer">2. Bring its address back</label></h2>
<p>It ends at a page that does not load. That is expected: copy that page's whole address (iPhone:
tap the address bar, then Select All, Copy; Android: tap the address bar, then the copy sign) and
paste it here.</p>
<textarea id="answer" name="{FIELD}" rows="2" required autocomplete="off" autocapitalize="none"
spellcheck="false" placeholder="http://127.0.0.1:…"></textarea>
<button>Finish</button>
</form>"""
    return document("Sign in to Codex", content, good=not refused, style=_STYLE)


def checking(about: About, seconds: int) -> bytes:
    """Return the page of an answer that is looked at; it asks for the outcome after some seconds.

    What it asks for is answered when there is one, so that this page stays until then.
    """
    title = "Confirm on the terminal" if about.is_confirmed else "The answer is checked"
    text = "This page tells when it is saved."
    if about.is_confirmed:
        text = f"The terminal of {about.host} asks whether this account signs in there. {text}"
    head = f'<meta http-equiv="refresh" content="{seconds}; url=?{HELD}">\n'
    content = f"<h1>{title}</h1>\n<p>{escape(text)}</p>"
    return document(title, content, style=_STYLE, head=head)
