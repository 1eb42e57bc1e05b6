"""Sign-ins that one process has begun and another is to finish.

They lie in a folder of the Codex home that Codex never meets, each in a file of its own. That file
goes when the sign-in is used up or has expired; an empty mark stays for a while and says which.
The process that finishes one holds its lock, so that of two at once only one asks the issuer.
"""
