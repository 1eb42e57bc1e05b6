"""Everything that knows that a human is reading: words, codes, prompts, browsers."""
