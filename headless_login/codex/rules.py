"""What the files that configure Codex demand of a sign-in (codex-facts.md §9, §10).

Config files, the weakest first, then the requirements that no user can change. What a stronger
file says replaces what a weaker one says; ways to sign in and workspaces are intersected with what
the requirements allow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from headless_login.codex.files import read_regular
from headless_login.codex.home import CodexHome
from headless_login.errors import LocalTrouble, SignInRefused
from headless_login.oauth.text import one_line, printable
from headless_login.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, TypeVar

    _Value = TypeVar("_Value")

STORES = ("file", "keyring", "auto", "ephemeral")
# Codex's name for each way to sign in, and the command that takes it.
_WAYS = {"chatgpt": "headless-login login", "api": "headless-login login --with-api-key"}
# The way of each mode of auth.json that Codex 0.169 knows [seen].
WAY_OF_MODE = {
    **dict.fromkeys(("chatgpt", "chatgptAuthTokens"), "chatgpt"),
    **dict.fromkeys(("personalAccessToken", "agentIdentity"), "chatgpt"),
    **dict.fromkeys(("apikey", "bedrockApiKey", "bedrockAccessKeys"), "api"),
}
_ORDINARY = {"chatgpt": "Signing in with ChatGPT", "api": "Signing in with an API key"}

Document = Mapping[str, object]


class PolicyPlace(NamedTuple):
    """Where whoever manages this machine lays down rules for every user.

    `folder` holds config.toml, managed_config.toml and requirements.toml. `preferences` are the
    property lists of macOS's device management, the weakest first.
    """

    folder: str
    preferences: tuple[str, ...] = ()

    @classmethod
    def of_this_machine(
        cls, platform: str = sys.platform, environ: Mapping[str, str] = os.environ
    ) -> PolicyPlace:
        """Return the place for a platform; no environment variable moves it on POSIX."""
        if platform == "win32":
            return cls(os.path.join(environ.get("ProgramData", "C:\\ProgramData"), "OpenAI/Codex"))
        if platform == "darwin":
            managed, user = "/Library/Managed Preferences", environ.get("USER", "")
            names = (managed, f"{managed}/{user}") if user else (managed,)
            return cls("/etc/codex", tuple(f"{name}/com.openai.codex.plist" for name in names))
        return cls("/etc/codex")


class Rules(NamedTuple):
    """What holds for a sign-in in one Codex folder.

    `forbidden` has, for each way to sign in (`chatgpt`, `api`) that is not allowed, the file and
    the setting that say so. `workspace_ids` is None where every workspace is allowed;
    `config_workspace_ids` are those of the config files alone. The sources are the files that
    decided, `repository_files` those of a trusted repository that had a say.
    """

    credential_store: str = "file"
    forbidden: Mapping[str, str] = {}
    workspace_ids: tuple[str, ...] | None = None
    config_workspace_ids: tuple[str, ...] | None = None
    store_source: str = ""
    workspace_source: str = ""
    repository_files: tuple[str, ...] = ()

    @classmethod
    def read(
        cls, home: CodexHome, place: PolicyPlace | None = None, *, directory: str | None = None
    ) -> Rules:
        """Read all files; `place` is this machine's unless it is given.

        With `directory` those of the trusted repository around it count, too, as for a Codex that
        is started there.

        Raises:
            LocalTrouble: `store_failed`; one is unreadable, not TOML, or has a value that Codex
                does not take. Codex would not start with it either, and a restriction must not be
                overlooked.
            SignInRefused: `login_method_not_allowed`; no way to sign in is left.
        """
        place = place or PolicyPlace.of_this_machine()
        below, managed, required_file = (
            os.path.join(place.folder, name)
            for name in ("config.toml", "managed_config.toml", "requirements.toml")
        )
        config = [read_toml(below), read_toml(home.config_file)]
        above = [read_toml(managed)]
        required = [read_toml(required_file)]
        for path in place.preferences:
            above.append(read_preference(path, "config_toml_base64"))
            required.append(read_preference(path, "requirements_toml_base64"))
        files = _trusted_files(directory, home, [*config, *above]) if directory else []
        config += [*map(read_toml, files), *above]
        return cls._of(_Layers(config), _Layers(required))._replace(repository_files=(*files,))

    @classmethod
    def of_texts(
        cls, config: Sequence[tuple[str, str]], required: Sequence[tuple[str, str]]
    ) -> Rules:
        """Return the rules of another machine: names and contents of its files, as `read` has them.

        Raises as that.
        """
        layers = [
            _Layers(
                [
                    (name, _parsed(name, text.encode(errors="surrogateescape")))
                    for name, text in each
                ]
            )
            for each in (config, required)
        ]
        return cls._of(*layers)

    @classmethod
    def _of(cls, config: _Layers, required: _Layers) -> Rules:
        store = required.get(STORE, _store) or config.get(STORE, _store) or ("file", "")
        forced, allowed = config.get(_FORCED, _way), required.get(_ALLOWED, _ways)
        forbidden = {}
        for way in _WAYS:
            if forced and forced[0] != way:
                forbidden[way] = f'{forced[1]} says {_FORCED} = "{forced[0]}"'
            elif allowed and way not in allowed[0]:
                forbidden[way] = f"{allowed[1]} says {_ALLOWED} = {_listed(allowed[0])}"
        own, limit = config.get(_WORKSPACE, _workspaces), required.get(_WORKSPACES, _texts)
        if own and not own[0]:  # an empty one is no limit
            own = None
        workspaces, source = own or (None, "")
        of_config = workspaces
        if limit:
            source = f"{limit[1]} and {own[1]}" if own else limit[1]
            workspaces = tuple(each for each in limit[0] if own is None or each in own[0])
            if not workspaces:
                forbidden.setdefault("chatgpt", f"{source} leave no workspace ({_WORKSPACES})")
        if len(forbidden) == len(_WAYS):
            raise SignInRefused(
                "login_method_not_allowed",
                f"No way to sign in is allowed here, and Codex does not start: "
                f"{', and '.join(dict.fromkeys(forbidden.values()))}.",
                "Ask whoever manages this machine.",
            )
        return cls(store[0], forbidden, workspaces, of_config, store[1], source)

    def check_method(self, method: str) -> None:
        """Refuse (`login_method_not_allowed`) a way to sign in, `chatgpt` or `api`.

        An access token is of the way `chatgpt`.
        """
        if reason := self.forbidden.get(method):
            (other,) = _WAYS.keys() - {method}
            raise SignInRefused(
                "login_method_not_allowed",
                f"{_ORDINARY[method]} is not allowed here: {reason}.",
                f"Use `{_WAYS[other]}`, or have that setting changed.",
            )

    def allowed_way(self) -> str:
        """Return the command of a way to sign in that is allowed."""
        return next(command for way, command in _WAYS.items() if way not in self.forbidden)

    def allows_workspace(self, account_id: str | None) -> bool:
        """Return whether an account may be signed in with."""
        return self.workspace_ids is None or account_id in self.workspace_ids

    def config_allows_workspace(self, account_id: str | None) -> bool:
        """Return whether the config files alone allow an account; else Codex removes the file."""
        return self.config_workspace_ids is None or account_id in self.config_workspace_ids

    def check_workspace(self, account_id: str | None) -> None:
        """Refuse (`workspace_not_allowed`) an account outside the allowed workspaces."""
        if not self.allows_workspace(account_id):
            raise SignInRefused(
                "workspace_not_allowed",
                f"You signed in to a workspace that {self.workspace_source} does not allow. "
                "Nothing was written.",
            )


STORE = "cli_auth_credentials_store"
_FORCED = "forced_login_method"
_WORKSPACE = "forced_chatgpt_workspace_id"
_ALLOWED = "allowed_login_methods"
_WORKSPACES = "allowed_chatgpt_workspaces"
# Of a sign-in: what counts in config files, and what in requirements.toml.
CONFIG_KEYS, REQUIRED_KEYS = (STORE, _FORCED, _WORKSPACE), (STORE, _ALLOWED, _WORKSPACES)


class _Layers:
    """Documents with the names of their files, the weakest first."""

    def __init__(self, layers: Sequence[tuple[str, Document]]) -> None:
        self._layers = [(one_line(path), document) for path, document in layers]

    def get(self, name: str, read: Callable[[Any], _Value]) -> tuple[_Value, str] | None:
        """Return the strongest value of a setting and its file, or None; others are not looked at.

        `read` raises ValueError for a value that Codex does not take.
        """
        for path, document in reversed(self._layers):
            if name in document:
                try:
                    return read(document[name]), path
                except ValueError as error:
                    reason = str(error)
                raise _unusable(path, f"its {name} {reason}")
        return None


def _store(value: object) -> str:
    return _one_of(value, STORES)


def _way(value: object) -> str:
    return _one_of(value, tuple(_WAYS))


def _ways(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("is not a list")
    return tuple(_one_of(each, tuple(_WAYS)) for each in value)


def _one_of(value: object, words: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")
    if value not in words:
        raise ValueError(f'is "{printable(value, 20)}", and not one of: {", ".join(words)}')
    return value


def _workspaces(value: object) -> tuple[str, ...]:
    """Read a workspace, or a list of them."""
    if isinstance(value, str):
        if "," in value:
            raise ValueError("has several workspaces in one text: write a list of texts")
        value = [value]
    return _texts(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("is not a list of texts")
    return tuple(each.strip() for each in value if each.strip())


def _listed(ways: tuple[str, ...]) -> str:
    return f"[{', '.join(map(repr, ways))}]".replace("'", '"')


def _repository_folders(directory: str) -> list[str]:
    """Return a folder and those above it up to the root of its repository; else itself alone."""
    folders = [directory]
    while not os.path.exists(os.path.join(folders[-1], ".git")):
        above = os.path.dirname(folders[-1])
        if above == folders[-1]:
            return [directory]
        folders.append(above)
    return folders


def repository_files(directory: str, home: CodexHome) -> list[str]:
    """Return the config files of the repository around a folder, the weakest first."""
    folders = _repository_folders(directory)[::-1]
    files = [os.path.join(folder, ".codex", "config.toml") for folder in folders]
    return [path for path in files if path != home.config_file and os.path.isfile(path)]


def _trusted_files(
    directory: str, home: CodexHome, config: Sequence[tuple[str, Document]]
) -> list[str]:
    """Return the config files of a repository, if it is trusted."""
    folders, files = _repository_folders(directory), repository_files(directory, home)
    levels: dict[str, object] = {}
    for _, document in config:
        projects = document.get("projects")
        if files and isinstance(projects, dict):
            levels |= {
                path: project.get("trust_level")
                for path, project in projects.items()
                if isinstance(project, dict)
            }
    trusted = any(levels.get(folder) == "trusted" for folder in (folders[0], folders[-1]))
    return files if trusted else []


def read_toml(path: str) -> tuple[str, Document]:
    """Return a file's path and content; a missing file is an empty one."""
    try:
        content, _ = read_regular(path)
    except FileNotFoundError:
        return path, {}
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return path, _parsed(path, content)
    raise _unusable(path, reason)


def read_preference(path: str, key: str) -> tuple[str, Document]:
    """Return the TOML that a property list of macOS has below a key."""
    import binascii
    import plistlib

    try:
        content = plistlib.loads(read_regular(path)[0]).get(key, "")
        content = binascii.a2b_base64(content, strict_mode=False)
    except FileNotFoundError:
        return path, {}
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except Exception:  # noqa: BLE001  # plistlib lets out whatever its parsers raise
        reason = f"it has no readable {key}"
    else:
        return path, _parsed(path, content)
    raise _unusable(path, reason)


def _parsed(path: str, content: bytes) -> Document:
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        pass  # raised below, without what the file says
    raise _unusable(path, "it is not valid TOML")


def _unusable(path: str, reason: str) -> LocalTrouble:
    return LocalTrouble(
        "store_failed",
        f"{one_line(path)} cannot be used: {reason}.",
        "Fix that file: Codex does not start with it either.",
    )
