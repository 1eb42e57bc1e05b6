"""Every HTTP call to the authorization server; no other room makes one."""
