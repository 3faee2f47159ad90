"""Properties of the engine's pure rules: fairness, limits, arithmetic of parts and batches, bandwidth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ferryd.core.model import Candidate, TransferFile
from ferryd.engine.batches import batches
from ferryd.engine.limits import Bandwidth
from ferryd.engine.pages import seal, unseal
from ferryd.engine.progress import Tally
from ferryd.engine.run import span_of
from ferryd.engine.scheduler import Turns, plan
from ferrywire.parts import MAX_PARTS, MIB, part_count, part_size, part_span
from tests.unit.daemon.test_store import new

candidates = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-2, 2)), max_size=30).map(
    lambda rows: [Candidate(f"t{at}", client, priority, at) for at, (client, priority) in enumerate(rows)]
)


@given(candidates, st.integers(1, 8), st.integers(0, 8))
def test_a_plan_keeps_the_limit_and_wastes_no_slot(rows: list[Candidate], limit: int, busy: int) -> None:
    running = {f"t{at}" for at in range(busy)}
    chosen = plan(rows, running=running, limit=limit, served={})
    free = [one for one in rows if one.id not in running]
    assert len({one.id for one in chosen}) == len(chosen) == min(len(free), max(0, limit - len(running)))
    assert not {one.id for one in chosen} & running


@given(candidates, st.integers(1, 8))
def test_nothing_better_is_left_waiting(rows: list[Candidate], limit: int) -> None:
    chosen = plan(rows, running=set(), limit=limit, served={})
    left = [one for one in rows if one not in chosen]
    if chosen and left:
        assert min(one.priority for one in chosen) >= max(one.priority for one in left)
    for one in chosen:
        same = [other for other in left if (other.client, other.priority) == (one.client, one.priority)]
        assert all(one.seq < other.seq for other in same), "within a client the oldest first"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 4))
def test_nobody_starves(queue_lengths: list[int], limit: int) -> None:
    """With equal priority, a client waits for at most one transfer of every other client per slot it gets."""
    rows = [
        Candidate(f"{client}-{at}", str(client), 0, client * 100 + at)
        for client, length in enumerate(queue_lengths)
        for at in range(length)
    ]
    turns, order = Turns(), []
    while rows:
        chosen = plan(rows, running=set(), limit=limit, served=turns.served)
        turns.note(chosen)
        order += [one.client for one in chosen]
        rows = [one for one in rows if one not in chosen]
    for client, length in enumerate(queue_lengths):
        places = [at for at, served in enumerate(order) if served == str(client)]
        gaps = [after - before for before, after in zip([-1, *places], places, strict=False)]
        assert len(places) == length and max(gaps) <= len(queue_lengths)


@given(st.integers(0, 1 << 50), st.integers(1, 5120).map(lambda mib: mib * MIB))
def test_parts_cover_the_file_once(size: int, wanted: int) -> None:
    part_bytes = part_size(size, wanted)
    count = part_count(size, part_bytes)
    assert part_bytes % MIB == 0 and part_bytes >= wanted and count <= MAX_PARTS
    if not size:
        assert count == 0
        return
    assert part_span(size, part_bytes, 1)[0] == 0
    for number in {1, 2, count // 2, count - 1} & set(range(1, count)):
        offset, length = part_span(size, part_bytes, number)
        assert length == part_bytes and part_span(size, part_bytes, number + 1)[0] == offset + length
    offset, length = part_span(size, part_bytes, count)
    assert 0 < length <= part_bytes and offset + length == size


@given(st.lists(st.integers(0, 40 * MIB) | st.integers(0, MIB // 4), max_size=60), st.integers(1, 20 * MIB))
def test_batches_hold_every_part_once_in_order(sizes: list[int], most: int) -> None:
    files = [TransferFile(at, f"f{at}", "/f", size, MIB) for at, size in enumerate(sizes)]
    keys = [(file.index, number) for file in files for number in range(1, part_count(file.size_bytes, MIB) + 1)]
    cut = list(batches(keys, files, lambda: most))
    assert [key for batch in cut for key in batch] == keys
    for batch in cut:
        assert 0 < len(batch) <= 256
        lengths = [span_of(files[at], number).length for at, number in batch]
        assert len(batch) == 1 or (sum(lengths) <= most and max(lengths) < MIB)


@given(
    st.integers(1024, 1 << 30),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 1 << 24)), min_size=1, max_size=50),
)
def test_the_bandwidth_is_never_exceeded(rate: int, moves: list[tuple[float, int]]) -> None:
    """Lanes that wait as told move no more than the rate, a tenth of a second's burst and one window allow."""
    now = 0.0
    bucket = Bandwidth(rate, lambda: now)
    moved = 0
    for idle, count in moves:
        now += idle
        now += bucket.wait_s()
        assert moved <= rate * (now + 0.1) * (1 + 1e-9) + 1, "all that was moved before is paid for"
        bucket.spend(count)
        moved += count
    assert bucket.wait_s() <= moved / rate


@given(st.lists(st.integers(1, 100), min_size=1, max_size=30), st.integers(0, 29))
def test_progress_never_goes_back_and_never_says_all_too_early(lengths: list[int], interrupted: int) -> None:
    tally = Tally(new(size_bytes=sum(lengths), chunk_count=len(lengths)))
    shown = [0]
    for run in (lengths[:interrupted], lengths):
        tally.restart()
        for length in run:
            tally.confirm(1, length)
            shown.append(tally.shown_bytes)
    assert shown == sorted(shown) and shown[-1] < sum(lengths)


@given(st.integers(0, 2**63), st.text(max_size=20), st.binary(min_size=16, max_size=16))
def test_page_tokens_come_back(cursor: int, listing: str, key: bytes) -> None:
    assert unseal(key, listing, seal(key, listing, cursor)) == cursor
