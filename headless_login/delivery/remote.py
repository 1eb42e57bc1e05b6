"""The Codex folder of another machine or container, reached by the user's own client.

One POSIX program (`remote.sh`) does all that is done there, so that nothing has to be installed.
Nothing but names is an argument; program, folder and credentials travel on standard input. What
is there already, auth.json too, is read into memory and judged here, because a shell cannot.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from headless_login.codex.auth_file import Credentials, set_aside
from headless_login.codex.kept import Account, account_of
from headless_login.codex.rules import Rules
from headless_login.codex.shape import Misshapen
from headless_login.codex.stored import StoredSignIn, described
from headless_login.delivery.client import (
    TIMEOUT,
    Changed,
    Refused,
    RemoteProgram,
    RunClient,
    failure,
    run_client,
    sums_of,
)
from headless_login.delivery.destination import Say, silence
from headless_login.delivery.target import Replacing, Target
from headless_login.errors import LocalTrouble
from headless_login.oauth.text import one_line, printable
from headless_login.typed import NamedTuple

_ASIDE = ("~", "", "/dev/shm")  # noqa: S108  # nosec B108


_THE_SAME = Replacing()


class NotDelivered(LocalTrouble):
    """What a sign-in brought did not arrive, and is kept in a folder here, if one takes it."""

    def __init__(self, trouble: LocalTrouble, aside: str, command: str) -> None:
        """`trouble` says why; `aside` is the folder, or empty, and `command` delivers it."""
        hint = f"{trouble.hint} Then deliver the new sign-in, which is safe in {aside}:"
        super().__init__(trouble.error, trouble.message, hint if aside else trouble.hint)
        self.command = command if aside else ""


class Found(NamedTuple):
    """What a probe has found there; `sums` tells an auth.json from another."""

    folder: str
    auth_file: str
    is_usual: bool
    sums: str
    present: Account | None
    unreadable: bool
    rules: Rules
    codex: str


class RemoteFolder:
    """The Codex folder of a target: a destination like the one of this machine."""

    def __init__(
        self,
        target: Target,
        *,
        replacing: Replacing = _THE_SAME,
        store_anyway: bool = False,
        environ: Mapping[str, str] = os.environ,
        may_ask: bool = True,
        timeout: float = TIMEOUT,
        to_deliver: Callable[[str], str] = lambda _: "",
        run: RunClient = run_client,
    ) -> None:
        """`may_ask`: the client may ask the person (a password, a host key); seconds for a run.

        `to_deliver` returns the command that delivers what is kept in a folder here.
        """
        self._target = target
        self._replacing = replacing
        self._store_anyway = store_anyway
        self._to_deliver = to_deliver
        self._program = RemoteProgram(target, environ, timeout, run, may_ask=may_ask)
        self._found: Found | None = None

    @property
    def target(self) -> str:
        """The target as it was given."""
        return self._target.given

    @property
    def name(self) -> str:
        """The path of auth.json there, once it is known."""
        return self._found.auth_file if self._found else "auth.json"

    def check(self, say: Say = silence, *, method: str = "chatgpt") -> Rules:
        """Reach the target, and prove that auth.json could be written there, and used.

        It is asked once; what is found holds until something is delivered.

        Raises:
            SignInRefused: `login_method_not_allowed` there.
            LocalTrouble: `delivery_failed` or `store_not_used`.
        """
        if self._found is None:
            self._found = self._probe(say)
        found = self._found
        found.rules.check_method(method)
        store = found.rules.credential_store
        if store in ("keyring", "ephemeral") and not self._store_anyway:
            source = one_line(found.rules.store_source)
            raise LocalTrouble(
                "store_not_used",
                f'{source} says cli_auth_credentials_store = "{store}", so that Codex does not '
                "read auth.json there.",
                "Change that there, or use --store-anyway.",
            )
        if store == "auto":
            say(f"Note: Codex on {self.target} looks into a keyring first, which is not checked.")
        if self._replacing.new is None:
            codex = found.codex or "no codex was found"
            say(f"Reached {self.target}: {one_line(found.folder)}; {codex}.")
        self._replacing.check_before(found.present, self.target, method, say)
        return found.rules

    def steps_before_use(self, rules: Rules) -> list[str]:  # noqa: ARG002  # read there
        """Return what has to be done there before Codex uses it."""
        from shlex import quote

        if self._found is None:
            return []
        steps = [] if self._found.is_usual else [f"export CODEX_HOME={quote(self._found.folder)}"]
        return steps if self._found.codex else [*steps, "install codex there (none was found)"]

    def store(self, credentials: Credentials, say: Say = silence) -> StoredSignIn | None:
        """Deliver fresh credentials; what does not arrive is kept here, in a folder of its own.

        Raises:
            NotDelivered: `delivery_failed`.
        """
        try:
            self.deliver(credentials.content, say)
            return None
        except LocalTrouble as trouble:
            aside = set_aside(credentials, places=_ASIDE) if credentials.comes_once else None
            folder = os.path.dirname(aside or "")
            reason = NotDelivered(trouble, folder, self._to_deliver(folder))
        raise reason

    def has_file(self, name: str) -> bool:
        """Return whether the folder there has a file of that name; raises as `check`."""
        return "same" in self._program.call("probe", name)

    def deliver(self, content: bytes, say: Say = silence) -> None:
        """Put an auth.json there, under Codex's locks, and verify that it is there whole.

        Raises:
            LocalTrouble: `delivery_failed`; what was there is there as it was, or it is not known.
        """
        new, found = account_of(content), self._found or self._probe(say)
        self._found = None  # whatever happens now, it is not what was found
        for _ in range(2):
            self._replacing.check(found.present, new, self.target)
            try:
                answer = self._program.call("deliver", found.sums, content)
                break
            except Changed:
                found = self._probe(say)
            except LocalTrouble as trouble:
                there = self._sums_there()
                if isinstance(trouble, Refused) or there not in sums_of(content):
                    raise
                answer = {"sum": [there]}  # the link broke after it had arrived
                break
        else:
            raise self._failed("other programs change auth.json there again and again.")
        self._found = found._replace(sums=answer.get("sum", [""])[0], present=new)
        if "in_place" in answer:
            say(f"Note: {self.target} takes no rename, so auth.json was written in place there.")
        if found.unreadable:
            say(f"Note: The auth.json on {self.target} could not be understood; it is replaced.")
        elif found.present and found.present.key != new.key:
            say(f"Replaced the sign-in on {self.target} with {described(found.present.stored)}.")

    def _sums_there(self) -> str:
        try:
            return self._probe(silence).sums
        except LocalTrouble:
            return ""

    def _probe(self, say: Say) -> Found:
        answer = self._program.call("probe")
        if made := answer.get("made"):
            say(f"Made the Codex folder {one_line(made[0])} on {self.target}.")
        if unreadable := answer.get("unreadable"):
            raise self._failed(f"{one_line(unreadable[0])} cannot be read there.")
        present, is_unreadable = None, False
        if "auth" in answer:
            try:
                account = account_of("\n".join(answer["auth"]).encode(errors="surrogateescape"))
                present = account if account.stored.mode else None
            except Misshapen:
                is_unreadable = True
        folder, file, sums = (
            one_line(answer.get(name, [""])[0]) for name in ("folder", "file", "sum")
        )
        return Found(
            folder,
            file,
            "usual" in answer,
            sums,
            present,
            is_unreadable,
            self._rules(answer),
            printable(answer["codex"][0] or "codex", 40) if "codex" in answer else "",
        )

    def _rules(self, answer: Mapping[str, Sequence[str]]) -> Rules:
        def layer(name: str, path: str) -> tuple[str, str]:
            return f"{self.target}: {path}", "\n".join(answer.get(name, ()))

        folder = answer.get("folder", [""])[0]
        config = [
            layer("below", "/etc/codex/config.toml"),
            layer("config", f"{folder}/config.toml"),
            layer("managed", "/etc/codex/managed_config.toml"),
        ]
        return Rules.of_texts(config, [layer("required", "/etc/codex/requirements.toml")])

    def _failed(self, what: str) -> LocalTrouble:
        return failure(self._target, what)
