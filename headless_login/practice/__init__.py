"""An annex: a real authorization server on loopback, to practise a sign-in on and to test with."""
