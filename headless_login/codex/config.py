"""The keys of config.toml that concern a sign-in (codex-facts.md §9)."""

from __future__ import annotations

from dataclasses import dataclass

from headless_login.codex.home import CodexHome
from headless_login.errors import LocalTrouble, SignInRefused

# Codex's name for each way to sign in, and the command that takes it.
_COMMANDS = {"chatgpt": "headless-login login", "api": "headless-login login --with-api-key"}


@dataclass(frozen=True, slots=True)
class Config:
    """What config.toml demands; without the file, nothing."""

    credential_store: str = "file"
    forced_login_method: str | None = None
    forced_workspace_ids: tuple[str, ...] = ()

    @classmethod
    def read(cls, home: CodexHome) -> Config:
        """Read the folder's config.toml.

        Raises:
            LocalTrouble: `store_failed`; it is unreadable or not TOML. Codex would not start
                with it either, and its workspace restriction must not be overlooked.
        """
        try:
            with open(home.config_file, "rb") as file:
                document = _parse(file.read())
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not valid TOML"
        else:
            return cls(
                _text(document.get("cli_auth_credentials_store")) or "file",
                _text(document.get("forced_login_method")),
                _texts(document.get("forced_chatgpt_workspace_id")),
            )
        raise LocalTrouble(
            "store_failed",
            f"{home.config_file} cannot be read: {reason}.",
            "Mend that file; Codex needs it, too.",
        )

    def check_method(self, method: str) -> None:
        """Refuse (`login_method_not_allowed`) a method, `chatgpt` or `api`, that is not forced."""
        forced = self.forced_login_method
        if forced is not None and forced != method:
            raise SignInRefused(
                "login_method_not_allowed",
                f'config.toml allows only forced_login_method = "{forced[:20]}" here.',
                f"Use `{_COMMANDS.get(forced, _COMMANDS['chatgpt'])}`, or change config.toml.",
            )

    def check_workspace(self, account_id: str | None) -> None:
        """Refuse (`workspace_not_allowed`) an account outside forced_chatgpt_workspace_id."""
        if self.forced_workspace_ids and account_id not in self.forced_workspace_ids:
            raise SignInRefused(
                "workspace_not_allowed",
                "You signed in to a workspace that config.toml does not allow "
                "(forced_chatgpt_workspace_id). Nothing was written.",
                "Sign in again and choose the allowed workspace in the browser.",
            )

    @property
    def store_warning(self) -> str:
        """Return why Codex may not use auth.json, or an empty text."""
        if self.credential_store == "file":
            return ""
        return (
            f'config.toml says cli_auth_credentials_store = "{self.credential_store[:20]}": Codex '
            'may not use this file. Set it to "file", or start codex with '
            "-c cli_auth_credentials_store=file"
        )


def _parse(content: bytes) -> dict[str, object]:
    import tomllib

    return tomllib.loads(content.decode("utf-8-sig"))


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(text for text in map(_text, values) if text)
