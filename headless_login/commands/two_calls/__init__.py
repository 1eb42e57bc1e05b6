"""`login start` and `login finish`: one sign-in in two processes."""
