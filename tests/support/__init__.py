"""What the tests share: the program from outside, the real Codex, issuers that misbehave."""
