"""Where credentials go; the Codex folder of this machine is the first kind."""
