"""What the project is made of: bounds, lock, workflows, secrets, and what SECURITY.md promises."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).parents[1]
TABLE = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
NEEDED = [Requirement(line) for line in TABLE["dependencies"]]
WANTED = [*NEEDED, *(Requirement(line) for line in TABLE["optional-dependencies"]["dev"])]
BY_NAME = {canonicalize_name(each.name): each for each in WANTED}
LOCK = (PROJECT / "requirements.lock").read_text()
PINS = re.findall(r"(?m)^([\w.-]+)==([^ ]+)(.*)\\\n((?: {4}--hash=sha256:\w{64}(?: \\)?\n)+)", LOCK)


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    """`scripts/login` says that alone, and leaves nothing behind."""
    for name in ("sh", "dirname", "cksum", "cat", "rm"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    environ = {"PATH": str(tmp_path), "HEADLESS_LOGIN_VENV": str(tmp_path / "venv")}
    command = [tmp_path / "sh", PROJECT / "scripts" / "login"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 6
    assert done.stderr.startswith("Python 3.11 or newer is needed")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "venv").exists()


def test_the_lock_fits() -> None:
    """It has everything that pyproject.toml asks for, within its bounds (else scripts/lock)."""
    locked = defaultdict(list)
    for name, version, *_ in PINS:
        locked[canonicalize_name(name)].append(version)
    assert BY_NAME.keys() <= locked.keys()
    for name, requirement in BY_NAME.items():
        assert [*requirement.specifier.filter(locked[name])] == locked[name]


def test_everything_in_the_lock_is_hashed() -> None:
    """Nothing in it is without a hash, and nothing tells where it comes from."""
    comments = re.findall(r"(?m)^ *#.*\n", LOCK)
    pins = [f"{name}=={version}{more}\\\n{hashes}" for name, version, more, hashes in PINS]
    assert "".join(comments + pins) == LOCK
    assert not re.search(r"://|index|find-links|@", LOCK)


@pytest.mark.parametrize(
    ("name", "version", "why"),
    [
        ("authlib", "1.7.2", "CVE-2026-96760: a signature that was never checked"),
        ("certifi", "2024.6.2", "CVE-2024-39689: an authority that is distrusted"),
        ("cryptography", "46.0.5", "CVE-2026-34073: a name that a certificate may not have"),
        ("h11", "0.15.0", "CVE-2025-43859: chunks that two parsers read differently"),
        ("joserfc", "1.7.5", "says `str` where it should name the wrong claim"),
        ("pytest", "9.0.2", "CVE-2025-71176: a folder in /tmp with a known name"),
        ("requests", "2.32.3", "CVE-2024-47081: passwords of .netrc for another host"),
        ("requests", "2.32.5", "CVE-2026-25645: certificates from a known name in /tmp"),
        ("secretstorage", "3.3.0", "needs what cryptography has no more"),
        ("secretstorage", "3.3.1", "asks jeepney for what its next version has no more"),
        ("typer", "0.26.0", "ignores the variables of options"),
        ("typer", "0.29.0", "imports pydantic at every start"),
        ("urllib3", "2.6.2", "CVE-2026-21441: bombs behind a redirection"),
        ("zxing-cpp", "2.3.0", "cannot be told not to forgive light on dark"),
    ],
)
def test_what_is_known_to_be_wrong_is_excluded(name: str, version: str, why: str) -> None:
    assert Version(version) not in BY_NAME[canonicalize_name(name)].specifier, why


def test_every_import_is_declared() -> None:
    """What the package imports is asked for by itself, with a bound of its own."""
    owners = packages_distributions()
    imported = set()
    for path in (PROJECT / "headless_login").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"headless_login"}
    declared = {canonicalize_name(each.name) for each in NEEDED}
    assert {canonicalize_name(owners.get(name, [name])[0]) for name in foreign} == declared
    assert all(each.specifier for each in WANTED)


def test_actions_are_pinned_by_their_hash() -> None:
    """A tag can be moved, a commit cannot; the tag stands beside it for people."""
    flows = [path.read_text() for path in (PROJECT / ".github/workflows").glob("*.yml")]
    used = re.findall(r"uses:.*", "".join(flows))
    assert len(used) >= len(flows) > 0
    assert not [line for line in used if not re.search(r"@[0-9a-f]{40} # v\d+(\.\d+)+$", line)]


_LONG = "aB3" * 30
SECRETS = {
    "an API key": f"sk-proj-{_LONG}",
    "an old API key": f"sk-{_LONG[:48]}",
    "a personal access token": f"at-{_LONG[:44]}",
    "a refresh token": f"rt_{_LONG}",
    "a JWT": f"eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJ{_LONG}.{_LONG}",
    "a private key": "-----BEGIN " + "PRIVATE KEY-----",
    "a token of GitHub": f"ghp_{_LONG[:36]}",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_real_secret_is_found(kind: str, tmp_path: Path) -> None:
    """scripts/secrets names the line; what the tests use instead of secrets is left alone."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    (tmp_path / "practice.py").write_text('KEY = "sk-proj-TEST-0123456789abcdefghij"\n')
    command = [str(PROJECT / "scripts/secrets"), str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 0
    (tmp_path / "notes.txt").write_text(f"\ntoken: '{SECRETS[kind]}'\n")
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stdout.startswith("notes.txt:2:")


def test_every_promise_of_security_md_is_a_test() -> None:
    """Each row of its table names tests, and they exist."""
    text = (PROJECT / "SECURITY.md").read_text().partition("<!-- made by ")[0]
    table = re.findall(r"(?m)^\| (?!who |--)(.*) \|$", text)
    assert len(table) >= 6
    for row in table:
        named = re.findall(r"`(test_\w+)\.py`: ([^;|]+)", row)
        assert named, row
        for file, tests in named:
            code = (PROJECT / f"tests/{file}.py").read_text()
            for test in re.findall(r"`(\w+)`", tests):
                assert f"def test_{test}(" in code, (file, test)


def test_the_table_of_attacks_is_complete() -> None:
    """It names what scripts/attacks runs, with no failure open (else run scripts/attacks)."""
    command = [sys.executable, str(PROJECT / "scripts" / "attacks.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
