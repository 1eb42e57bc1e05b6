"""Everything that knows Codex's folder: its files, its locks, its configuration."""
