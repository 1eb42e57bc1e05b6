"""What can go wrong, sorted by what the person does about it; and what that is, by its word.

    HeadlessLoginError
    ├── NotSignedIn        1  sign in
    ├── WrongUsage         2  fix the command
    ├── SignInRefused      3  start a new sign-in
    │   ├── RejectedAnswer 3  paste another answer: the sign-in is still alive
    │   └── RefreshRefused 3  sign in again: the refresh token is worth nothing any more
    ├── IssuerTrouble      4  try later, or look at the network
    │   └── OutcomeUnknown 4  the same; and the refresh token may be used up
    ├── TimedOut           5  again, or another way
    ├── LocalTrouble       6  fix this machine: port, disk, permissions
    └── Cancelled        130  nothing: another program on this machine asked for it

Each carries the word that programs read (`error`), one sentence for people (`message`) and what
to do (`hint`). None of them ever carries a secret.
"""

from __future__ import annotations

from headless_login.typed import NamedTuple

OK, WARNING, FAILED = "ok", "warning", "failed"


class Finding(NamedTuple):
    """What a check of `doctor` has found: how it stands (`ok`, `warning`, `failed`), what to do.

    `message` and `remedy` name no person and no machine; the remedy is empty where none is needed,
    and has lines of their own for commands that are followed by another way.
    """

    name: str
    status: str
    message: str
    remedy: str = ""


_COPY_AGAIN = "Copy the whole address from the address bar once more and paste it."
_OPEN_AGAIN = "Open the address shown above again, and paste that of the page that fails to load."
_PASTE_ADDRESS = "Paste the whole address of the page that failed to load."
_CODE_DAMAGED = (
    "Its code was damaged on the way, or is an older one. Copy the whole address from the address "
    "bar once more, or open the address to sign in again, and paste what it ends at."
)
_SIGN_IN = "Sign in: headless-login login"
_CODE_WORKS_ONCE = "Start a new sign-in: a code works once, and only for minutes."


class Remedy(NamedTuple):
    """What to do about an error: the exit code, a sentence, and one while it is still pending."""

    exit_code: int
    hint: str = ""
    while_pending: str = ""


# Every word of the contract that this program uses. Where an error knows more than its word (which
# folder, which command), its own hint stands in place of the one here.
REMEDIES = {
    "not_signed_in": Remedy(1, _SIGN_IN),
    "usage": Remedy(2, "See: headless-login login --help"),
    "unknown_account": Remedy(2, "See: headless-login accounts"),
    "not_a_redirect": Remedy(3, _PASTE_ADDRESS),
    "authorize_url_pasted": Remedy(3, _PASTE_ADDRESS),
    "issuer_error_page": Remedy(3, _OPEN_AGAIN),
    "missing_code": Remedy(3, _COPY_AGAIN),
    "missing_state": Remedy(3, _COPY_AGAIN),
    "duplicate_parameter": Remedy(3, _COPY_AGAIN),
    "ambiguous_response": Remedy(3, _COPY_AGAIN),
    "state_mismatch": Remedy(3, _OPEN_AGAIN),
    "issuer_mismatch": Remedy(3, _OPEN_AGAIN),
    "access_denied": Remedy(3, "Start a new sign-in if that was a mistake."),
    "missing_codex_entitlement": Remedy(
        3, "Ask the workspace's administrator for access to Codex."
    ),
    "invalid_grant": Remedy(3, _CODE_WORKS_ONCE, _CODE_DAMAGED),
    "id_token_invalid": Remedy(
        3,
        "Start a new sign-in; if it happens again, the issuer or the network is not to be trusted.",
    ),
    "workspace_not_allowed": Remedy(
        3, "Sign in again and choose the allowed workspace in the browser."
    ),
    "login_method_not_allowed": Remedy(
        3, "Use the allowed way to sign in, or have the setting changed."
    ),
    "refresh_refused": Remedy(3, "Sign in again: headless-login login"),
    "device_auth_disabled": Remedy(
        3,
        "Use --paste-redirect, or switch device codes on: ChatGPT Settings, Security (in a "
        "workspace: its administrator, under Permissions).",
    ),
    "unexpected_account": Remedy(
        3, "Sign in again and choose the expected account in the browser."
    ),
    "no_pending_login": Remedy(3, "Start a new sign-in: headless-login login start"),
    "token_response_invalid": Remedy(4, _CODE_WORKS_ONCE),
    "challenge_page": Remedy(4, "Try again later, or from another network address."),
    "unsupported_country": Remedy(
        4,
        "This machine has to reach it the way your browser did (proxy, VPN): set HTTPS_PROXY.",
    ),
    "tls_error": Remedy(
        4, "Behind a corporate proxy, set CODEX_CA_CERTIFICATE to its certificate file (PEM)."
    ),
    "issuer_unreachable": Remedy(
        4,
        "Check the network and HTTPS_PROXY, then start a new sign-in.",
        "Check the network and HTTPS_PROXY.",
    ),
    "timed_out": Remedy(5, "Start a new sign-in."),
    "device_code_expired": Remedy(5, "Start a new sign-in."),
    "port_unavailable": Remedy(6, "End the program that uses the port, or use --paste-redirect."),
    "store_not_used": Remedy(6, 'Set cli_auth_credentials_store = "file" in config.toml.'),
    "store_failed": Remedy(6, "Fix that, or name another folder with --codex-home."),
    "delivery_failed": Remedy(6, "Fix that there, and try again."),
    "internal_error": Remedy(6, "Please report it with the command and this line."),
    "interrupted": Remedy(130, "Start again when you are ready."),
}


class HeadlessLoginError(Exception):
    """A failure with a word for programs, a sentence for people and an exit code."""

    exit_code = 1

    def __init__(self, error: str, message: str, hint: str = "") -> None:
        """`error` is a word of the contract; without a `hint` the word finds what to do."""
        super().__init__(message)
        self.error = error
        self.message = message
        self.pending = ""
        self.command = ""
        self._hint = hint

    @property
    def hint(self) -> str:
        """What to do; where the sign-in is still pending, that this is so, and how it goes on."""
        remedy = REMEDIES.get(self.error, _UNKNOWN_WORD)
        hint = self._hint or (self.pending and remedy.while_pending) or remedy.hint
        return " ".join(filter(None, [hint, self.pending, self.command]))

    def finding(self, name: str, status: str = FAILED) -> Finding:
        """Return it as what a check has found."""
        return Finding(name, status, self.message, self.hint)


class NotSignedIn(HeadlessLoginError):
    """There is no sign-in that could do what was asked."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        """`hint` is how to sign in, where that is not plain."""
        super().__init__("not_signed_in", message, hint)


class WrongUsage(HeadlessLoginError):
    """The command cannot do what it was asked."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "", *, error: str = "usage") -> None:
        """`hint` is the right command; `error` is `usage` or `unknown_account`."""
        super().__init__(error, message, hint)


class SignInRefused(HeadlessLoginError):
    """This attempt is over: denied by the person or the issuer, or not to be trusted."""

    exit_code = 3


class RejectedAnswer(SignInRefused):
    """A pasted or received answer was not accepted; the attempt itself goes on."""


class RefreshRefused(SignInRefused):
    """The issuer takes this refresh token never again (codex-facts.md §14)."""

    def __init__(self, code: str, message: str) -> None:
        """`code` is the issuer's own word, as `refresh_token_reused`."""
        super().__init__("refresh_refused", message)
        self.code = code


class IssuerTrouble(HeadlessLoginError):
    """The issuer cannot be reached or answers nonsense."""

    exit_code = 4


class OutcomeUnknown(IssuerTrouble):
    """The request was sent and its answer was lost: what it asked for may have been done."""


class TimedOut(HeadlessLoginError):
    """No answer came in time."""

    exit_code = 5

    def __init__(self, message: str, hint: str = "", *, error: str = "timed_out") -> None:
        """`error` is `timed_out` or `device_code_expired`."""
        super().__init__(error, message, hint)


class LocalTrouble(HeadlessLoginError):
    """This machine is in the way: port, disk or permissions."""

    exit_code = 6


class Cancelled(HeadlessLoginError):
    """Another program on this machine asked the sign-in to end, as Codex does for its port."""

    exit_code = 130

    def __init__(self) -> None:
        """There is one way to be cancelled."""
        super().__init__(
            "interrupted",
            "Another program on this machine asked this sign-in to end (GET /cancel).",
            "It is probably Codex, which signs in by the same port: finish there, or start again.",
        )


class Terminated(SystemExit):
    """SIGTERM, SIGHUP or, on Windows, Ctrl-Break arrived; it passes every `except Exception`.

    A SystemExit, because asyncio keeps whatever else is raised inside a task.
    """

    def __init__(self, number: int = 15) -> None:
        """`number` is the signal's; that of SIGINT stands for Ctrl-Break."""
        super().__init__(128 + number)
        self.exit_code = 128 + number
        self.pending = ""
        self.command = ""


# An error that the issuer named in its own word (RFC 6749 §4.1.2.1).
_UNKNOWN_WORD = Remedy(SignInRefused.exit_code, "Start a new sign-in.")
