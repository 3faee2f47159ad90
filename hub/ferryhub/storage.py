"""The commands `ferryhub storage …` and `ferryhub allocations …`: where bytes are kept, and who may keep how many.

For the operator; they work while the hub serves. Keys of a store are never among the words: boto3 finds them in the
environment of the hub, in a profile, or from the machine's role.
"""

from __future__ import annotations

import argparse
from typing import Any, Final

from ferryhub.command import add_command, in_catalogue, say, size, size_text
from ferrywire.parts import MIB
from ferrywire.reasons import FerryError

_LEAST_PART_BYTES: Final = 5 * MIB
_MOST_FILE_BYTES: Final = 5 << 40
_LEAST_PACK_BYTES: Final = MIB
_MOST_PACK_BYTES: Final = 64 * MIB
_S3_WORDS: Final = ("bucket", "endpoint", "public_endpoint", "region", "prefix", "addressing", "ca_bundle", "sse")


def add_storage_commands(storage: Any) -> None:
    """Add them to the parser of `ferryhub storage`."""
    add = add_command(
        storage, "add", _add, "add a place for bytes; nothing goes there before 'default' or 'allocations'"
    )
    add.add_argument("name", metavar="NAME", help="small letters, digits and '-'")
    add.add_argument("--s3", action="store_true", required=True, help="a bucket of an S3 store")
    add.add_argument("--bucket", required=True, help="it must exist")
    add.add_argument("--endpoint", default="", metavar="URL", help="the store's address; default: AWS")
    add.add_argument("--public-endpoint", default="", metavar="URL", help="as users reach it, when that differs")
    add.add_argument("--region", default="", help="default: boto3's, else us-east-1")
    add.add_argument("--prefix", default="", help="what all keys begin with")
    add.add_argument("--addressing", choices=("path", "virtual"), default="path", help="default: %(default)s")
    add.add_argument("--ca-bundle", default="", metavar="PEM", help="certificates that sign the store's")
    add.add_argument("--sse", choices=("AES256", "aws:kms"), default="", help="have the store encrypt what it keeps")
    add.add_argument("--kms-key", default="", metavar="ID", help="with which key, for --sse aws:kms")
    add.add_argument("--profile", default="", help="boto3's profile to take keys from; default: its usual chain")
    add.add_argument("--checksum", choices=("crc64nvme", "none"), default="crc64nvme", help="default: %(default)s")
    once = "whether no PUT may replace an object; 'no' for a store that trips over If-None-Match; default: %(default)s"
    add.add_argument("--write-once", choices=("yes", "no"), default="yes", help=once)
    least = {"type": size, "default": _LEAST_PART_BYTES, "metavar": "BYTES"}
    add.add_argument("--least-part", **least, help="the store's smallest part; default: 5M")
    most = {"type": size, "default": _MOST_FILE_BYTES, "metavar": "BYTES"}
    add.add_argument("--most-file", **most, help="the store's largest object; default: 5T")
    packs = (
        "small files go there together, in objects of up to so many bytes, 1M to 64M; 0: each by itself; default: 8M"
    )
    add.add_argument("--pack", type=size, metavar="BYTES", help=packs)
    add.add_argument("--no-check", action="store_true", help="do not try it out, nor mark it as this hub's")
    add_command(storage, "list", _list, "show all places; * marks the one that new projects and users get")
    default = add_command(storage, "default", _default, "choose where new projects and users keep their bytes")
    default.add_argument("name", metavar="NAME")


def add_allocation_commands(allocations: Any) -> None:
    """Add them to the parser of `ferryhub allocations`."""
    add_command(allocations, "list", _allocations, "show who may keep how much where, and how much there is")
    allocate = add_command(allocations, "set", _allocate, "say how much a project or a user may keep at a place")
    allocate.add_argument("owner", metavar="OWNER", help="a project's id or alias, or a user's id or e-mail address")
    allocate.add_argument("location", metavar="LOCATION", help="see 'ferryhub storage list'")
    allocate.add_argument("quota", type=size, metavar="BYTES", help="such as 500G")
    allocate.add_argument("--default", action="store_true", help="the project's new versions go there from now on")


def _add(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import locations

    options: dict[str, Any] = {word: getattr(args, word) for word in (*_S3_WORDS, "kms_key", "profile")}
    options["prefix"] = args.prefix.strip("/")
    options["checksum"] = "" if args.checksum == "none" else args.checksum
    options["write_once"] = args.write_once == "yes"
    options |= {"least_part_bytes": -(-args.least_part // MIB) * MIB, "most_file_bytes": args.most_file}
    options["pack_bytes"] = _pack_bytes(args, 0 if args.checksum == "none" else locations.PACK_BYTES)
    if args.kms_key and args.sse != "aws:kms":
        raise RuntimeError("--kms-key goes with --sse aws:kms")
    found = "not tried" if args.no_check else _tried(args, options)
    in_catalogue(args, locations.add, locations.StorageLocation(args.name, "s3", options))
    say(f"added '{args.name}', bucket '{args.bucket}': {found}")
    return 0


def _pack_bytes(args: argparse.Namespace, default: int) -> int:
    """Error: `RuntimeError`."""
    asked: int = default if args.pack is None else args.pack
    if asked and not _LEAST_PACK_BYTES <= asked <= _MOST_PACK_BYTES:
        raise RuntimeError("--pack is 0, or 1M to 64M")
    if asked > args.most_file:
        if args.pack is None:
            return 0
        raise RuntimeError("--pack is more than --most-file")
    if asked and args.checksum == "none":
        raise RuntimeError("--pack goes with --checksum crc64nvme: what arrives must be what was signed")
    return asked


def _tried(args: argparse.Namespace, options: dict[str, Any]) -> str:
    """Mark the bucket as this hub's and say what it does. Error: `RuntimeError` when there is no such bucket."""
    from ferryhub.blobs.s3check import check
    from ferryhub.blobs.s3client import S3Options, is_missing_bucket
    from ferryhub.blobs.s3owner import claim
    from ferryhub.catalogue.settings import owner_name

    try:
        claim(S3Options.of(options), in_catalogue(args, owner_name))
        found = check(S3Options.of(options))
    except FerryError as error:
        if not is_missing_bucket(error):
            raise
        raise RuntimeError(f"there is no bucket '{args.bucket}': create it, or check --bucket") from error
    for note in found.notes:
        say(f"note: {note}")
    return str(found)


def _list(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import locations

    def read(conn: Any) -> tuple[str, list[locations.StorageLocation]]:
        return locations.default_name(conn), locations.listing(conn)

    chosen, found = in_catalogue(args, read)
    for location in found:
        words = [f"{key}={value}" for key, value in sorted(location.options.items()) if value != ""]
        say("  ".join([f"{'*' if location.name == chosen else ' '} {location.name}", location.kind, *words]))
    return 0


def _default(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import locations

    in_catalogue(args, locations.set_default, args.name)
    say(f"new projects and users keep their bytes at '{args.name}'; others stay where they are")
    return 0


def _allocations(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import locations

    for row in in_catalogue(args, locations.allocations):
        counts = (row.used_bytes, row.reserved_bytes, row.quota_bytes)
        use = "used {}  reserved {}  of {}".format(*map(size_text, counts))
        name = f" ({row.owner_name})" if row.owner_name else ""
        say(f"{row.owner_type} {row.owner_id}{name}  {row.storage_location}  {use}")
    return 0


def _allocate(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import locations, owners

    def allocate(conn: Any) -> None:
        owner = owners.by_name(conn, args.owner)
        locations.allocate(conn, owner, args.location, args.quota, by_default=args.default)

    in_catalogue(args, allocate)
    return 0
