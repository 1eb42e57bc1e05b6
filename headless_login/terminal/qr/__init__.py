"""QR codes in terminals: made, drawn, and fitted to what is known of the terminal."""
