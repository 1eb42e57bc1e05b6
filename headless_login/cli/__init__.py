"""The command line: commands, options, environment, exit codes; the only place that exits."""

from headless_login.cli.main import main

__all__ = ["main"]
