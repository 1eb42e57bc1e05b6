"""What the browser is shown: small, self-contained, in dark and light, and true."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --ground: #f6f7f9;
  --card: #fff; --line: #e3e5e9; --good: #18794e; --bad: #c62a2f }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #b0b4ba;
  --ground: #111315; --card: #1b1d20; --line: #2e3135; --good: #3dd68c; --bad: #ff9592 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--ground); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif }
main { width: 100%; max-width: 27rem; padding: 2rem 1.75rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 14px; text-align: center }
.mark { width: 3.25rem; height: 3.25rem; margin: 0 auto 1rem; border: 2px solid currentColor;
  border-radius: 50%; display: grid; place-items: center; font-size: 1.6rem; line-height: 1 }
.good { color: var(--good) }
.bad { color: var(--bad) }
h1 { margin: 0 0 .5rem; font-size: 1.35rem; line-height: 1.3; overflow-wrap: anywhere }
p { margin: .35rem 0; color: var(--soft); overflow-wrap: anywhere }
"""
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

# Only our own style sheet, by its hash; no script, image, frame or form; no address sent on.
HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page for the browser; its texts are plain, and escaped when it is drawn."""

    status: int
    title: str
    text: str
    good: bool = False

    def html(self) -> bytes:
        """Return the document."""
        mark, kind = ("✓", "good") if self.good else ("!", "bad")
        paragraphs = "".join(f"<p>{escape(line)}</p>" for line in self.text.split("\n"))
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style>"
            f'<main><div class="mark {kind}" aria-hidden="true">{mark}</div>'
            f"<h1>{escape(self.title)}</h1>{paragraphs}</main></html>"
        ).encode()


def success() -> Page:
    """Return the page for a sign-in that is safely on disk."""
    return Page(
        200,
        "Signed in to Codex",
        "The sign-in is saved on the machine that asked for it.\nYou can close this page.",
        good=True,
    )


def failure(message: str, hint: str = "") -> Page:
    """Return the page for a sign-in that came to nothing; it answers 200 to be shown as it is."""
    return Page(200, "Not signed in", f"{message}\n{hint}".strip())


def rejected(message: str) -> Page:
    """Return the page for a request that is not this sign-in's answer."""
    return Page(400, "Not the answer this sign-in waits for", message)


NOT_FOUND = Page(404, "Nothing here", "This address only takes the answer to a sign-in.")
NOT_ALLOWED = Page(405, "Nothing here", "Only a browser's GET is answered.")
