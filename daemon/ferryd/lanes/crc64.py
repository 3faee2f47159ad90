"""CRC-64/NVME, which S3 stores verify themselves. Upload steps 4 and 8.

awscrt is loaded when a hub first asks for the checksum: who uploads to no such hub needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable

from ferrywire.reasons import FerryError

#: (bytes, the CRC of what came before) → the CRC of both.
Crc = Callable[[memoryview, int], int]


def load() -> Crc:
    """The function. UNIMPLEMENTED, saying what to install, when there is none."""
    try:
        from awscrt.checksums import crc64nvme
    except ImportError as error:
        install = 'run pip install "/path/to/ferryman[daemon]"'
        message = f"this hub's storage verifies CRC-64/NVME and awscrt is missing: {install}"
        raise FerryError("UNIMPLEMENTED", message) from error
    crc: Crc = crc64nvme
    return crc
