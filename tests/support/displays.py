"""Real terminals in windows of an X server without a screen (Xvfb), and their pixels."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest

from tests.support.program import until
from tests.support.scanning import Pixels, np


class Display:
    """An X server whose picture lies in a file."""

    def __init__(self, folder: Path) -> None:
        """Take a folder for the picture; skips where Xvfb is missing."""
        if shutil.which("Xvfb") is None:
            pytest.skip("Xvfb is not installed")
        self._folder = folder

    def __enter__(self) -> Self:
        told, tells = os.pipe()
        command = ["Xvfb", "-displayfd", str(tells), "-screen", "0", "1600x1400x24"]
        command += ["-fbdir", str(self._folder), "-nolisten", "tcp", "-noreset"]
        null = subprocess.DEVNULL
        self._server = subprocess.Popen(command, pass_fds=(tells,), stdout=null, stderr=null)
        os.close(tells)
        with open(told) as number:
            self.name = f":{number.readline().strip()}"
        assert self.name != ":", "Xvfb did not start"
        return self

    def __exit__(self, *_: object) -> None:
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
        environ = environ | {"DISPLAY": display.name, "LIBGL_ALWAYS_SOFTWARE": "1"}
        null = subprocess.DEVNULL
        self._process = subprocess.Popen(command, env=environ, stdin=null, stdout=null, stderr=null)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def picture(self, seen: Callable[[Pixels], object]) -> Pixels:
        """Return the first picture on which `seen` sees what it looks for."""
        pictures: list[Pixels] = []

        def look() -> object:
            pictures.append(self._display.picture())
            return seen(pictures[-1])

        until(look, wanted="such picture")
        return pictures[-1]
