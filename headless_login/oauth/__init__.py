"""Ground floor: pure values and judgements of OAuth 2.0; no I/O, no clock, no environment."""
