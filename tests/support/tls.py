"""Certificates of an authority of the test's own, for a hub over TLS and for whoever is to trust it."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificate:
    """A certificate for 127.0.0.1 in PEM files below a directory, and what trusts it."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        self.cert, self.key, self.authority = (directory / name for name in ("cert.pem", "key.pem", "ca.pem"))
        for blob in issued.cert_chain_pems:
            blob.write_to_path(self.cert, append=True)
        issued.private_key_pem.write_to_path(self.key)
        authority.cert_pem.write_to_path(self.authority)
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)

    @property
    def options(self) -> tuple[str, ...]:
        """The words for `ferryhub serve`."""
        return ("--tls-cert", str(self.cert), "--tls-key", str(self.key))
