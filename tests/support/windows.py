"""Real terminals in windows that nobody sees (Xvfb), and what their pixels are."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest

from tests.support.scanning import Pixels

_WIDTH, _HEIGHT = 1600, 1400


class Display:
    """An X server whose picture lies in a file."""

    def __init__(self, folder: Path) -> None:
        """Take a folder for the picture; skips where Xvfb is missing."""
        if shutil.which("Xvfb") is None:
            pytest.skip("Xvfb is not installed")
        self._folder = folder

    def __enter__(self) -> Self:
        told, tells = os.pipe()
        self._server = subprocess.Popen(
            [
                *("Xvfb", "-displayfd", str(tells), "-screen", "0", f"{_WIDTH}x{_HEIGHT}x24"),
                *("-fbdir", str(self._folder), "-nolisten", "tcp", "-noreset"),
            ],
            pass_fds=(tells,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(tells)
        with open(told) as number:
            self.name = f":{number.readline().strip()}"
        assert self.name != ":", "Xvfb did not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.kill()
        self._server.wait()

    def picture(self) -> Pixels:
        """Return what is on the screen now, in grey (the file is in XWD format)."""
        content = (self._folder / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", content[:100])
        size, width, height, line, colours = (header[n] for n in (0, 4, 5, 12, 19))
        start = size + 12 * colours
        pixels = np.frombuffer(content, np.uint8, line * height, start).reshape(height, line)
        blue, green, red = (pixels[:, n : 4 * width : 4].astype(float) for n in range(3))
        return (0.114 * blue + 0.587 * green + 0.299 * red).astype(np.uint8)


class Window:
    """A terminal program that runs a command; ends with everything in it."""

    def __init__(self, display: Display, command: Sequence[str], environ: dict[str, str]) -> None:
        """Start it on a display."""
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        self._display = display
        self._process = subprocess.Popen(
            list(command),
            env=environ | {"DISPLAY": display.name, "LIBGL_ALWAYS_SOFTWARE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def until(self, seen: Callable[[Pixels], bool], timeout: float = 20) -> Pixels:
        """Return the first picture on which `seen` sees what it looks for, or the last one."""
        deadline = time.monotonic() + timeout
        while True:
            picture = self._display.picture()
            if seen(picture) or time.monotonic() > deadline:
                return picture
            time.sleep(0.2)
