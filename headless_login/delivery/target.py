"""Names of other machines and containers, and the client that runs a program there.

A name is data: it is checked here, letter by letter, and stands in the arguments of `ssh`,
`docker`, `podman` or `kubectl` behind a `--`, never in a shell's line. A folder is none of their
arguments: it travels on standard input.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from headless_login.codex.kept import Account
from headless_login.codex.rules import WAY_OF_MODE
from headless_login.codex.stored import described
from headless_login.errors import LocalTrouble, WrongUsage
from headless_login.oauth.text import one_line
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from headless_login.delivery.destination import CodexFolder
    from headless_login.delivery.remote import RemoteFolder

# The least that a target's shell needs to know (fish and csh among them): it reads the rest, up to
# a line with END, a character at a time, so that what follows is left to what was read.
_BOOTSTRAP = 'eval "$(while IFS= read -r l && [ "$l" != END ]; do printf "%s\\n" "$l"; done)"'
_HOST = re.compile(r"(?:([A-Za-z0-9_][\w.+@\\-]*)@)?([A-Za-z0-9_][\w.-]*|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?", re.ASCII)  # fmt: skip  # noqa: E501
_CONTAINER = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_POD = re.compile(r"[a-z0-9][a-z0-9.-]*")
_FORMS = (
    "A target is ssh://[USER@]HOST[:PORT][/DIR], docker://CONTAINER[/DIR], "
    "podman://CONTAINER[/DIR], k8s://[NAMESPACE/]POD, k8s://NAMESPACE/POD/CONTAINER, or a folder."
)


class Target(NamedTuple):
    """Another machine or container, or a folder here, as it was `given`.

    `folder` is the Codex folder there: an absolute path, `~/…` below the home there, or empty for
    that of the user there. `run` are the words of the client up to those of the program, none for
    a folder here; `batch` those that keep it from asking. `by_shell`: a shell there gets its words.
    """

    given: str
    folder: str = ""
    run: tuple[str, ...] = ()
    batch: tuple[str, ...] = ()
    by_shell: bool = False

    @property
    def client(self) -> str:
        """The program that reaches it; empty for a folder here."""
        return self.run[0] if self.run else ""

    def words(self, *, may_ask: bool) -> list[str]:
        """Return the command that runs what comes on its standard input there, with `sh`."""
        program = ["sh", "-c", f"'{_BOOTSTRAP}'" if self.by_shell else _BOOTSTRAP]
        batch = () if may_ask else self.batch
        client, *more = self.run
        return [client, *batch, *more, *([" ".join(program)] if self.by_shell else program)]

    @property
    def trial(self) -> str:
        """A command by which a person sees whether the target can be reached."""
        from shlex import join

        words = [each for each in self.run if each not in _QUIETLY and each != "-T"]
        return join([*words, "true"])


# What is set in the user's configuration for sessions is none of this one's business.
_QUIETLY = ("-oClearAllForwardings=yes", "-oRemoteCommand=none", "-oPermitLocalCommand=no")


class Replacing(NamedTuple):
    """What may be replaced on another machine: anything with `replace`, else the same account's.

    `new` is what comes, where that is known before; else `expect` may name who is going to sign in.
    """

    replace: bool = False
    expect: tuple[str, ...] = ()
    new: Account | None = None

    def check_before(
        self, present: Account | None, target: str, method: str, say: Callable[[str], object]
    ) -> None:
        """Refuse (`delivery_failed`) what can be told before somebody has signed in."""
        if present is None:
            return
        if self.new is not None:
            self.check(present, self.new, target)
            return
        stored = present.stored
        if self.replace:
            say(f"This replaces the sign-in on {target} with {described(stored)}.")
            return
        is_possible = WAY_OF_MODE.get(stored.mode or "") == method
        if not is_possible or not all(map(stored.identity.is_of, self.expect)):
            raise _somebody_else(present, target)
        say(f"{target} is signed in with {described(stored)}; anybody else needs --replace.")

    def check(self, present: Account | None, new: Account, target: str) -> None:
        """Refuse (`delivery_failed`) to put one sign-in in the place of another."""
        if present is None or self.replace:
            return
        if present.key != new.key:
            raise _somebody_else(present, target)
        if present.stored.refresh_token and not new.stored.refresh_token:
            raise LocalTrouble(
                "delivery_failed",
                f"{target}: the sign-in there renews itself, and this copy does not.",
                "To replace it all the same: --replace",
            )


def _somebody_else(present: Account, target: str) -> LocalTrouble:
    return LocalTrouble(
        "delivery_failed",
        f"{target}: another sign-in is there, with {described(present.stored)}.",
        "To replace it: --replace",
    )


def read_target(given: str) -> Target:
    """Return the target of a name.

    Raises:
        WrongUsage: it is none, or has a character that no such name has.
    """
    if not given.isprintable() or not given.strip():
        raise WrongUsage(f"A target has a character that no name has: {one_line(given)[:80]}")
    kind, is_url, rest = given.partition("://")
    if not is_url:
        if given.startswith("-"):
            raise WrongUsage(f"{given[:80]} is no target.", f"For a folder: ./{given[:80]}")
        return Target(given, given)
    if kind not in _KINDS:
        raise WrongUsage(f"{given[:80]} is no target.", _FORMS)
    found = _KINDS[kind](rest)
    if found is None:
        raise WrongUsage(f"{given[:80]} is no target that can be reached.", _FORMS)
    return found._replace(given=given)


def _ssh(rest: str) -> Target | None:
    name, folder = _machine_and_folder(rest)
    found = _HOST.fullmatch(name)
    if found is None or not 0 <= int(found[3] or 0) < 65536:
        return None
    user = ["-l", found[1]] if found[1] else []
    port = ["-p", found[3]] if found[3] else []
    run = ("ssh", "-T", *_QUIETLY, *user, *port, "--", found[2].strip("[]"))
    return Target("", folder, run, ("-oBatchMode=yes",), by_shell=True)


def _container(client: str) -> Callable[[str], Target | None]:
    def read(rest: str) -> Target | None:
        name, folder = _machine_and_folder(rest)
        if not _CONTAINER.fullmatch(name):
            return None
        return Target("", folder, (client, "exec", "-i", name))

    return read


def _kubernetes(rest: str) -> Target | None:
    names = rest.split("/")
    if not 1 <= len(names) <= 3 or not all(map(_POD.fullmatch, names)):
        return None
    namespace = ("-n", names[0]) if len(names) > 1 else ()
    container = ("-c", names[2]) if len(names) > 2 else ()
    pod = names[min(len(names) - 1, 1)]
    return Target("", "", ("kubectl", "exec", "-i", *namespace, *container, pod, "--"))


def _machine_and_folder(rest: str) -> tuple[str, str]:
    """Return the machine's name and the folder there; `/~/…` is one below the home there."""
    name, slash, path = rest.partition("/")
    folder = f"{slash}{path}".rstrip("/")
    return name, folder[1:] if folder == "/~" or folder.startswith("/~/") else folder


_KINDS: dict[str, Callable[[str], Target | None]] = {
    "ssh": _ssh,
    "docker": _container("docker"),
    "podman": _container("podman"),
    "k8s": _kubernetes,
}


def destination_at(
    given: str,
    environ: Mapping[str, str],
    replacing: Replacing,
    *,
    store_anyway: bool = False,
    may_ask: bool = True,
    to_deliver: Callable[[str], str] = lambda _: "",
) -> CodexFolder | RemoteFolder:
    """Return the place that a target names: another machine's, or a folder here.

    `to_deliver` returns the command that delivers, from a folder here, what did not arrive.

    Raises:
        WrongUsage: it names none.
    """
    from headless_login.delivery.destination import CodexFolder
    from headless_login.delivery.remote import RemoteFolder

    target = read_target(given)
    if target.client:
        return RemoteFolder(
            target,
            replacing=replacing,
            store_anyway=store_anyway,
            environ=environ,
            may_ask=may_ask,
            to_deliver=to_deliver,
        )
    if not {"/", os.sep} & {*given} and not os.path.isdir(given):  # forgotten: ssh://
        raise WrongUsage(
            f"There is no folder {given[:80]} here.",
            f"For a machine: ssh://{given[:80]}. To make that folder: ./{given[:80]}",
        )
    folder = CodexFolder.find(given, environ)
    return folder._replace(target=given, replacing=replacing, store_anyway=store_anyway)
