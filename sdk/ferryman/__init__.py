"""Ferryman's Python SDK: moves research data through this user's transfer daemon.

`from ferryman import Client` is all that most scripts need. Everything here is imported when it is first used, and grpc
when a client first connects.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferryman.aio import AsyncClient
    from ferryman.client import Client
    from ferryman.errors import ConnectionError, DaemonError, DaemonTimeoutError  # noqa: A004 - the public name
    from ferryman.handles import AsyncTransfer, Transfer
    from ferryman.pages import AsyncPage, Page
    from ferryman.progress import (
        DownloadedFile,
        DownloadResult,
        ProgressEvent,
        TransferFile,
        TransferInfo,
        UploadResult,
    )
    from ferryman.reports import AuthStatus, Context, DaemonInfo, DeviceCode, Limits, Statistics
    from ferryman.types import (
        Allocation,
        AssetMetadata,
        Collection,
        Content,
        Grant,
        Lineage,
        LineageAsset,
        Project,
        Relationship,
    )

__all__ = [
    "Allocation",
    "AssetMetadata",
    "AsyncClient",
    "AsyncPage",
    "AsyncTransfer",
    "AuthStatus",
    "Client",
    "Collection",
    "ConnectionError",
    "Content",
    "Context",
    "DaemonError",
    "DaemonInfo",
    "DaemonTimeoutError",
    "DeviceCode",
    "DownloadResult",
    "DownloadedFile",
    "Grant",
    "Limits",
    "Lineage",
    "LineageAsset",
    "Page",
    "ProgressEvent",
    "Project",
    "Relationship",
    "Statistics",
    "Transfer",
    "TransferFile",
    "TransferInfo",
    "UploadResult",
]

_HOMES = {
    "aio": ("AsyncClient",),
    "client": ("Client",),
    "errors": ("ConnectionError", "DaemonError", "DaemonTimeoutError"),
    "handles": ("AsyncTransfer", "Transfer"),
    "pages": ("AsyncPage", "Page"),
    "progress": (
        "DownloadResult",
        "DownloadedFile",
        "ProgressEvent",
        "TransferFile",
        "TransferInfo",
        "UploadResult",
    ),
    "reports": ("AuthStatus", "Context", "DaemonInfo", "DeviceCode", "Limits", "Statistics"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ferryman")
    if name not in __all__:
        raise AttributeError(f"module 'ferryman' has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "types")
    value = getattr(import_module(f"ferryman.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
