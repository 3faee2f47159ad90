"""Between Python values and the few protobuf types that need care: Struct, Timestamp, empty strings. Upload step 1.

Pure. A Struct holds numbers as doubles, so integers beyond 2**53 are refused rather than changed.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from ferryman.arguments import text
from ferryman.errors import DaemonError, invalid

_LARGEST: Final = 1 << 53
#: protobuf readers stop at 100 nested messages; each level of JSON takes up to three.
_DEEPEST: Final = 30


def to_struct(value: object, field: str) -> Struct:
    """A Struct of a JSON-serialisable dict; None gives an empty one."""
    struct = Struct()
    _fill(struct, {} if value is None else value, field, 0)
    return struct


def _fill(struct: Struct, value: object, field: str, depth: int) -> None:
    if not isinstance(value, Mapping):
        raise invalid(field, f"{field} must be a dict, not {value!r}")
    for key, item in value.items():
        if not isinstance(key, str):
            raise invalid(field, f"{field} has the key {key!r}; keys must be text")
        _put(struct.fields[text(key, field)], item, f"{field}[{key!r}]", depth + 1)


def _put(target: Value, value: object, field: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise invalid(field.partition("[")[0], f"{field.partition('[')[0]} is nested deeper than {_DEEPEST} levels")
    if value is None:
        target.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = text(value, field)
    elif isinstance(value, numbers.Real):
        target.number_value = _number(value, field)
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        _fill(target.struct_value, value, field, depth)
    elif isinstance(value, list | tuple):
        target.list_value.SetInParent()
        for index, item in enumerate(value):
            _put(target.list_value.values.add(), item, f"{field}[{index}]", depth + 1)
    else:
        raise invalid(field, f"{field} is a {type(value).__name__}, which JSON cannot hold: {value!r}")


def _number(value: numbers.Real, field: str) -> float:
    if isinstance(value, numbers.Integral):
        if abs(int(value)) > _LARGEST:
            raise invalid(field, f"{field} is {value}: beyond 2**53 an integer is not kept exactly; pass it as text")
        return float(int(value))
    number = float(value)
    if not math.isfinite(number):
        raise invalid(field, f"{field} is {number}; numbers must be finite")
    return number


def from_struct(struct: Struct) -> dict[str, Any]:
    """The dict in a Struct; whole numbers come back as int."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return from_struct(value.struct_value)
    if kind == "list_value":
        return _from_list(value.list_value)
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return getattr(value, kind) if kind in ("string_value", "bool_value") else None


def _from_list(values: ListValue) -> list[Any]:
    return [_from_value(value) for value in values.values]


def moment(message: Any, field: str) -> datetime | None:
    """The time in a Timestamp field, in UTC; None when it is absent."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return datetime.fromtimestamp(stamp.seconds, UTC).replace(microsecond=stamp.nanos // 1_000)


def word(message: Any, field: str) -> str:
    """The value of an enum field in lower case; `unknown_7` for one that this version does not know."""
    number = getattr(message, field)
    known = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return known.name.lower() if known else f"unknown_{number}"


def error_of(status: Any) -> DaemonError:
    """The exception in a `google.rpc.Status`."""
    from ferryman.errors import from_ferry
    from ferrywire.reasons import CODE_NUMBERS
    from ferrywire.status import from_status

    names = {number: str(code) for code, number in CODE_NUMBERS.items()}
    return from_ferry(from_status(status), names.get(status.code, "unknown"))
