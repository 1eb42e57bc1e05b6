"""Time for real: the kernel's own clock moved on, and the time of day set to anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import COMMAND
from tests.support.two_calls import FINISH, answered, begin, finish, records

# As a program sees the time of day after somebody has set the clock: nothing else is changed.
AT = """
import os, sys, time
shift, real = float(sys.argv[1]), time.time
time.time = lambda: real() + shift
from headless_login.cli import main
os._exit(main(sys.argv[2:]))
"""


def _later(seconds: int, *words: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command on a machine that has been running for so much longer (time namespace)."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root on Linux can have a clock of its own")
    shifted = ["unshare", "--time", "--boottime", str(seconds), "--fork"]
    if subprocess.run([*shifted, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no time namespaces here")
    return subprocess.run(
        [*shifted, COMMAND, *words], env=environ, capture_output=True, text=True, timeout=30
    )


def test_a_quarter_of_an_hour_later(environ: dict[str, str], codex_home: Path) -> None:
    """After 880 seconds it is taken; after 920 it has expired, and its secrets are gone."""
    answer = answered(environ)
    late = answered(environ)
    in_time = _later(880, *FINISH, answer, environ=environ)
    assert in_time.returncode == 0, in_time.stderr
    expired = _later(920, *FINISH, late, environ=environ)
    assert expired.returncode == 3
    assert "This sign-in has expired" in expired.stderr
    assert not records(codex_home)
    assert "This sign-in has expired" in finish(environ, late).err


@pytest.mark.parametrize("shift", [-86400 * 400, -800, 800, 86400 * 400])
@pytest.mark.parametrize("late", [False, True], ids=["in time", "too late"])
def test_the_time_of_day_decides_nothing(
    late: bool, shift: int, environ: dict[str, str], codex_home: Path
) -> None:
    """Set back it revives nothing, set forward it ends nothing."""
    environ["HEADLESS_LOGIN_ISSUER"] = "http://127.0.0.1:9"  # not asked, or not reached
    url = begin(environ, *(["--timeout", "0.001"] if late else []))
    state = url.split("state=")[1].split("&")[0]
    done = subprocess.run(
        [sys.executable, "-c", AT, str(shift), *FINISH, f"?code=ac_{'c' * 60}&state={state}"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = "has expired" if late else "stays pending"
    assert done.returncode == (3 if late else 4)
    assert said in done.stderr
    assert len(records(codex_home)) == (0 if late else 1)
