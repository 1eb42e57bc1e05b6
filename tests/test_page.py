"""The page in a real Chromium: true, clean, self-contained, and good to look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from headless_login.flows import page
from headless_login.flows.page import Page
from headless_login.oauth.values import Grant
from headless_login.practice.issuer import PracticeIssuer
from tests.support import chromium
from tests.support.chromium import Chromium
from tests.support.listening import Listening, fetch, free_port
from tests.support.program import PROMPT, Piped, Terminal, environment

needs_chromium = pytest.mark.skipif(chromium.BINARY is None, reason="Chromium is not installed")
LONG = "Unbroken" * 250
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
PAGES = {
    "success": page.success(),
    "failure": page.failure("You pressed Deny.", "Start a new sign-in and press Approve."),
    "rejected": page.rejected("The answer belongs to another sign-in (its state is not ours)."),
    "not found": page.NOT_FOUND,
    "cancelled": page.CANCELLED,
    "interrupted": page.INTERRUPTED,
    "a long word": page.failure(LONG, LONG),
    "hostile": page.failure(HOSTILE, HOSTILE),
}
# Relative luminance and contrast as WCAG 2.2 defines them, for every text on the page.
CONTRAST = """
(() => {
  const rgb = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => c / 255).map(
      (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  return ['h1, p, footer', 'svg'].map((selector) => Math.min(
    ...[...document.querySelectorAll(selector)].map((element) => {
      const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    })));
})()
"""
# Elements that are wider than their place, the page itself among them.
TOO_WIDE = """
[document.documentElement, ...document.querySelectorAll('body, body *')]
  .filter((element) => element.scrollWidth > element.clientWidth && element.clientWidth)
  .map((element) => element.tagName)
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for all tests here; each opens its own page."""
    if chromium.BINARY is None:
        pytest.skip("Chromium is not installed")
    with Chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


def _show(browser: Chromium, shown: Page) -> None:
    """Show a page as our server would, with its headers' policy in force."""
    with Listening(outcome=lambda _: shown) as listening:
        browser.open(f"http://127.0.0.1:{listening.port}{listening.callback()}")


def _look(browser: Chromium, scheme: str, width: int, height: int) -> None:
    browser.call(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-color-scheme", "value": scheme}],
    )
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 500,
    )


@pytest.mark.parametrize("name", PAGES)
def test_the_text_is_shown_as_text(name: str, browser: Chromium) -> None:
    """Title, sentence and hint, whatever stands in them; nothing of it is run."""
    _show(browser, PAGES[name])
    shown = PAGES[name]
    assert browser.evaluate("document.title") == shown.title
    text = browser.evaluate("document.body.innerText")
    for part in (shown.title, shown.text, shown.hint):
        assert part in text
    assert browser.evaluate("document.scripts.length + document.images.length") == 0


@pytest.mark.parametrize("size", [(360, 740), (1280, 800), (240, 320)], ids=str)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(scheme: str, size: tuple[int, int], browser: Chromium) -> None:
    """No sideways scrolling and enough contrast at every size and in both schemes.

    That is 4.5 to 1 for text and 3 to 1 for signs (WCAG 2.2, 1.4.3 and 1.4.11).
    """
    _look(browser, scheme, *size)
    for shown in PAGES.values():
        _show(browser, shown)
        assert browser.evaluate("innerWidth") == size[0]
        assert browser.evaluate(TOO_WIDE) == []
        text, sign = browser.evaluate(CONTRAST)
        assert text >= 4.5
        assert sign >= 3
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(16, 18, 20)") is (scheme == "dark")


def _assert_no_complaints(browser: Chromium) -> None:
    kinds = ("Log.entryAdded", "Audits.issueAdded", "Runtime.consoleAPICalled")
    assert not [browser.told(kind) for kind in kinds if browser.told(kind)]


def test_it_needs_no_script_and_loads_nothing(browser: Chromium) -> None:
    """One request to us, none to anybody else, and not one complaint about the policy."""
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    del browser.events[:]
    try:
        with Listening(outcome=lambda _: page.success()) as listening:
            browser.open(f"http://127.0.0.1:{listening.port}{listening.callback()}")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    asked = [
        event["request"]["url"]
        for event in browser.told("Network.requestWillBeSent")
        if not event["request"]["url"].startswith("data:")
    ]
    assert {urlsplit(url).netloc for url in asked} == {f"127.0.0.1:{listening.port}"}
    assert not browser.told("Network.loadingFailed")
    _assert_no_complaints(browser)
    assert "Signed in to Codex" in browser.evaluate("document.body.innerText")


def test_nothing_of_the_answer_stays_in_the_browser(browser: Chromium) -> None:
    """Neither the address bar nor the history nor the referrer holds code or state."""
    with Listening() as listening:
        browser.open(f"http://127.0.0.1:{listening.port}{listening.callback()}")
        secrets = (listening.request.state, "code=")
    told = browser.evaluate("[location.href, document.referrer]")
    history = browser.call("Page.getNavigationHistory")["entries"]
    everything = json.dumps([told, [entry["url"] for entry in history]])
    assert told[0] == f"http://127.0.0.1:{listening.port}/auth/done"
    assert not [secret for secret in secrets if secret in everything]


# The whole way, from the authorize page to ours, with the installed command.


def _press(browser: Chromium, button: str) -> None:
    browser.do(f"document.querySelector('button[value={button}]').click()", "Page.loadEventFired")


@pytest.fixture
def scene(codex_home: Path) -> Iterator[tuple[dict[str, str], list[str], PracticeIssuer]]:
    """An environment, arguments and an issuer that fit together."""
    port = free_port()
    with PracticeIssuer(redirect_ports=(port,)) as issuer:
        yield environment(codex_home, issuer.issuer), ["login", "--port", str(port)], issuer


Scene = tuple[dict[str, str], list[str], PracticeIssuer]


def test_a_person_signs_in(scene: Scene, codex_home: Path, browser: Chromium) -> None:
    """Authorize page, Approve, our page; at that moment auth.json is complete on disk."""
    environ, arguments, issuer = scene
    with Terminal(*arguments, environ=environ) as terminal:
        browser.open(url := terminal.read_url())
        browser.call("Page.resetNavigationHistory")
        del browser.events[:]
        terminal.read_until(PROMPT)
        _press(browser, "approve")
        stored: dict[str, Any] = json.loads((codex_home / "auth.json").read_text())
        assert "Signed in to Codex" in browser.evaluate("document.body.innerText")
        assert stored["tokens"]["refresh_token"]
        assert terminal.wait() == 0
        assert "The browser brought the answer" in terminal.text
    port = arguments[-1]
    assert _seen_by_the_browser(browser) == {
        "address": f"http://127.0.0.1:{port}/auth/done",
        "referrer": "",
        "history": [url, f"http://127.0.0.1:{port}/auth/done"],
        "length": 2,
    }
    asked = {urlsplit(e["request"]["url"]) for e in browser.told("Network.requestWillBeSent")}
    assert {parts.netloc for parts in asked if parts.scheme != "data"} == {
        f"127.0.0.1:{port}",
        urlsplit(issuer.issuer).netloc,
    }
    _assert_no_complaints(browser)


def _seen_by_the_browser(browser: Chromium) -> dict[str, Any]:
    """Return what a page, or a person who looks at the browser, finds of where it has been."""
    address, referrer, length = browser.evaluate(
        "[location.href, document.referrer, history.length]"
    )
    entries = browser.call("Page.getNavigationHistory")["entries"]
    return {
        "address": address,
        "referrer": referrer,
        "history": [entry["url"] for entry in entries],
        "length": length,
    }


def test_a_person_says_no(scene: Scene, codex_home: Path, browser: Chromium) -> None:
    """Deny: the page and the terminal say the same, and nothing is written."""
    environ, arguments, _ = scene
    with Terminal(*arguments, environ=environ) as terminal:
        browser.open(terminal.read_url())
        terminal.read_until(PROMPT)
        _press(browser, "deny")
        assert "Not signed in" in browser.evaluate("document.body.innerText")
        assert terminal.wait() == 3
    assert not (codex_home / "auth.json").exists()


def test_a_disk_that_fails_is_told_in_the_browser(
    scene: Scene, codex_home: Path, tmp_path: Path, browser: Chromium
) -> None:
    """No success is shown before it is true: the page gives the reason that the terminal gives."""
    environ, arguments, _ = scene
    environ["TMPDIR"] = str(tmp_path)
    with Terminal(*arguments, environ=environ) as terminal:
        browser.open(terminal.read_url())
        terminal.read_until(PROMPT)
        (codex_home / "auth.json").mkdir()
        _press(browser, "approve")
        text = browser.evaluate("document.body.innerText")
        assert "Not signed in" in text
        assert "it is a folder" in text
        assert terminal.wait() == 6


@pytest.mark.usefixtures("codexs_ports")
def test_without_a_listener_the_address_is_what_is_pasted(
    environ: dict[str, str], codex_home: Path, browser: Chromium
) -> None:
    """Nobody listens: the browser shows its error page, and its address bar has all we need."""
    with Piped("login", "--paste-redirect", environ=environ) as piped:
        browser.open(piped.read_url())
        failed = browser.do(
            "document.querySelector('button[value=approve]').click()", "Page.frameNavigated"
        )
        address = failed["frame"]["unreachableUrl"]
        assert address.startswith("http://127.0.0.1:1455/auth/callback?code=")
        assert piped.finish(address + "\n").exit_code == 0
    assert (codex_home / "auth.json").exists()


def test_a_second_tab_gets_the_truth_as_well(browser: Chromium) -> None:
    """Whoever clicks twice sees the outcome twice."""
    with Listening() as listening:
        listening.may_conclude.clear()
        assert fetch(listening.port, listening.callback()).status == 303
        address = f"http://127.0.0.1:{listening.port}{listening.callback()}"
        browser.evaluate(f"void (location.href = {json.dumps(address)})")
        listening.may_conclude.set()
        browser.wait_for("Page.loadEventFired")
        assert isinstance(listening.result, Grant)
    assert "Signed in to Codex" in browser.evaluate("document.body.innerText")
