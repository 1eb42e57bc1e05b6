"""The roof's rooms: one command each, wired from the floors below."""
