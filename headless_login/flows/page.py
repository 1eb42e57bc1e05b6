"""What the browser is shown: small, self-contained, in dark and light, and true."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --ground: #f4f5f7;
  --card: #fff; --line: #e2e4e9; --good: #18794e; --good-tint: #e3f5ea; --bad: #c62a2f;
  --bad-tint: #ffe9e8; --shadow: 0 1px 2px #1c20240d, 0 12px 32px -12px #1c20242e }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #a8adb5;
  --ground: #101214; --card: #1a1c1f; --line: #2c2f33; --good: #3dd68c; --good-tint: #163527;
  --bad: #ff9592; --bad-tint: #3f1d1f; --shadow: none } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; min-height: 100dvh; padding: 1.25rem; display: grid;
  place-content: center; grid-template-columns: minmax(0, 26rem); background: var(--ground);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", sans-serif }
main { padding: 2.25rem 1.75rem 1.75rem; background: var(--card); text-align: center;
  border: 1px solid var(--line); border-radius: 16px; box-shadow: var(--shadow) }
svg { display: block; width: 3.5rem; height: 3.5rem; margin: 0 auto 1.25rem; padding: .8rem;
  border-radius: 50%; fill: none; stroke: currentColor; stroke-width: 2.5;
  stroke-linecap: round; stroke-linejoin: round }
.good { color: var(--good); background: var(--good-tint) }
.bad { color: var(--bad); background: var(--bad-tint) }
h1, p { margin: 0; overflow-wrap: anywhere; text-wrap: balance }
h1 { font-size: 1.375rem; line-height: 1.25; letter-spacing: -.01em }
p { margin-top: .6rem }
.hint { margin-top: 1.5rem; padding-top: 1.1rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .9375rem }
footer { margin-top: 1rem; color: var(--soft); font-size: .8125rem; text-align: center }
"""

# Strokes in a square of 24 by 24: a tick, and an exclamation mark.
_TICK, _MARK = "M5 12.5 10 17.5 19 7", "M12 5v8.5M12 18.5v.01"


def headers_for(style: str, form_action: str = "'none'") -> tuple[tuple[str, str], ...]:
    """Return the headers of a page: only its own style sheet, by its hash, and the icon inside it.

    No script, no frame, and no form but to `form_action` (CSP3).
    """
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        ("Content-Type", "text/html; charset=utf-8"),
        (
            "Content-Security-Policy",
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
            f"form-action {form_action}; frame-ancestors 'none'",
        ),
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    )


HEADERS = headers_for(STYLE)


@dataclass(frozen=True, slots=True)
class Page:
    """A page for the browser; its texts are plain, and escaped when it is drawn."""

    status: int
    title: str
    text: str
    hint: str = ""
    good: bool = False

    def html(self) -> bytes:
        """Return the document."""
        kind, strokes = ("good", _TICK) if self.good else ("bad", _MARK)
        hint = f'<p class="hint">{escape(self.hint)}</p>' if self.hint else ""
        content = f"""<svg class="{kind}" viewBox="0 0 24 24" aria-hidden="true">\
<path d="{strokes}"/></svg>
<h1>{escape(self.title)}</h1>
<p>{escape(self.text)}</p>
{hint}"""
        return document(self.title, content, good=self.good)


def document(
    title: str, content: str, *, good: bool = True, style: str = STYLE, head: str = ""
) -> bytes:
    """Return a whole document; `content` and `head` are HTML already."""
    kind, strokes = ("good", _TICK) if good else ("bad", _MARK)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="{_icon(kind, strokes)}">
{head}<style>{style}</style>
</head>
<body>
<main>
{content}
</main>
<footer>headless-login</footer>
</body>
</html>
""".encode()


def success() -> Page:
    """Return the page for a sign-in that is safely on disk."""
    return Page(
        200,
        "Signed in to Codex",
        "The sign-in is saved on the machine that asked for it.",
        "You can close this page and go back to the terminal.",
        good=True,
    )


def failure(message: str, hint: str = "") -> Page:
    """Return the page for a sign-in that came to nothing; it answers 200 to be shown as it is."""
    return Page(200, "Not signed in", message, hint)


def rejected(message: str) -> Page:
    """Return the page for a request that is not this sign-in's answer."""
    return Page(400, "Not the answer this sign-in waits for", message, _STILL_WAITING)


def _icon(kind: str, strokes: str) -> str:
    """Return the tab's icon; without one, browsers ask for a file that we do not have."""
    colour = {"good": "#2b9a66", "bad": "#e5484d"}[kind]
    return "data:image/svg+xml," + quote(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" '
        f'stroke="{colour}" stroke-width="4" stroke-linecap="round"><path d="{strokes}"/></svg>'
    )


_STILL_WAITING = "The terminal goes on waiting: open the address that it shows."
NOT_FOUND = Page(404, "Nothing here", "This address only takes the answer to a sign-in.")
# Perhaps just after the file was written: only the machine itself can say what came of it.
INTERRUPTED = Page(
    200,
    "Sign-in interrupted",
    "It was ended in the terminal.",
    "Start a new one there, or see what came of it: headless-login login status",
)
CANCELLED = Page(200, "Sign-in ended", "Another program on this machine asked for it.")
TOO_LATE = Page(409, "Too late", "The sign-in has its answer already.")
NOT_FOR_PAGES = Page(403, "Nothing here", "Only a program on this machine can end the sign-in.")
NOT_ALLOWED = Page(405, "Nothing here", "Only a browser's GET is answered.")
