"""Signing in to hubs: contexts, tokens, their storage and renewal. Before every call to a hub that is not embedded.

Tokens are in this package, in the private file or keyring it keeps, and in the headers of `remote/`; nowhere else.
"""
