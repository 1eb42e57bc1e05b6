"""The keys of config.toml that concern a sign-in (codex-facts.md §9)."""

from __future__ import annotations

from typing import NamedTuple

from headless_login.codex.files import read_regular
from headless_login.codex.home import CodexHome
from headless_login.errors import LocalTrouble, SignInRefused
from headless_login.oauth.text import printable

# Codex's name for each way to sign in, and the command that takes it.
_COMMANDS = {"chatgpt": "headless-login login", "api": "headless-login login --with-api-key"}


class Rules(NamedTuple):
    """What config.toml demands of a sign-in; without the file, nothing."""

    credential_store: str = "file"
    forced_login_method: str | None = None
    forced_workspace_ids: tuple[str, ...] = ()

    @classmethod
    def read(cls, home: CodexHome) -> Rules:
        """Read the folder's config.toml.

        Raises:
            LocalTrouble: `store_failed`; it is unreadable or not TOML. Codex would not start
                with it either, and its workspace restriction must not be overlooked.
        """
        try:
            return cls._of(_parse(read_regular(home.config_file)[0]))
        except FileNotFoundError:
            return cls()
        except OSError as error:
            reason = error.strerror or type(error).__name__
        except _WrongType as wrong:
            reason = f"{wrong} has a value of the wrong type"
        except (ValueError, RecursionError):
            reason = "it is not valid TOML"
        raise LocalTrouble(
            "store_failed",
            f"{home.config_file} cannot be read: {reason}.",
            "Fix that file; Codex needs it, too.",
        )

    @classmethod
    def _of(cls, document: dict[str, object]) -> Rules:
        return cls(
            _text(document, "cli_auth_credentials_store") or "file",
            _text(document, "forced_login_method"),
            _texts(document, "forced_chatgpt_workspace_id"),
        )

    def check_method(self, method: str) -> None:
        """Refuse (`login_method_not_allowed`) a method, `chatgpt` or `api`, that is not forced."""
        forced = self.forced_login_method
        if forced is not None and forced != method:
            raise SignInRefused(
                "login_method_not_allowed",
                f'config.toml allows only forced_login_method = "{printable(forced, 20)}" here.',
                f"Use `{_COMMANDS.get(forced, _COMMANDS['chatgpt'])}`, or change config.toml.",
            )

    def check_workspace(self, account_id: str | None) -> None:
        """Refuse (`workspace_not_allowed`) an account outside forced_chatgpt_workspace_id."""
        if self.forced_workspace_ids and account_id not in self.forced_workspace_ids:
            raise SignInRefused(
                "workspace_not_allowed",
                "You signed in to a workspace that config.toml does not allow "
                "(forced_chatgpt_workspace_id). Nothing was written.",
            )

    @property
    def store_warning(self) -> str:
        """Return why Codex may not use auth.json, or an empty text."""
        if self.credential_store == "file":
            return ""
        name = printable(self.credential_store, 20)
        return (
            f'config.toml says cli_auth_credentials_store = "{name}": '
            'Codex may not use this file. Set it to "file", or start codex with '
            "-c cli_auth_credentials_store=file"
        )


def _parse(content: bytes) -> dict[str, object]:
    import tomllib

    return tomllib.loads(content.decode("utf-8-sig"))


class _WrongType(ValueError):
    """Names the key: a restriction that is not understood must not be overlooked."""


def _text(document: dict[str, object], name: str) -> str | None:
    value = document.get(name)
    if not isinstance(value, str | None):
        raise _WrongType(name)
    return value.strip() or None if value else None


def _texts(document: dict[str, object], name: str) -> tuple[str, ...]:
    value = document.get(name)
    values = value if isinstance(value, list) else [value]
    texts = [_text({name: each}, name) for each in values]
    return tuple(text for text in texts if text)
