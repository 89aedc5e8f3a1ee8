"""Converts a log into workloads: one per start of an engine, with that engine's arrivals."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.lab.playing.workload import TraceRequest, TraceWorkload
from loadtests.lab.replay.entry import LogEntry, Replayed
from loadtests.lab.replay.true_lengths import Length, TrueLengths
from serve.simulated.requests import SHARED_TOKENS


@dataclass(frozen=True, slots=True)
class TrafficPart:
    """One start of an engine; `places` maps request numbers to places in the log."""

    replica: str
    workload: TraceWorkload
    places: tuple[int, ...]


def parts_of(
    entries: Sequence[LogEntry], lengths: TrueLengths, *, deadline_s: tuple[float, float]
) -> tuple[TrafficPart, ...]:
    """The parts of a log in order of appearance.

    `deadline_s` holds the default of the settings in force and that of the new ones; requests with
    the first get the second.
    """
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        places.setdefault(entry.asked.replica, []).append(place)
    return tuple(
        _part(replica, theirs, entries, lengths, deadline_s) for replica, theirs in places.items()
    )


def _part(
    replica: str,
    places: Sequence[int],
    entries: Sequence[LogEntry],
    lengths: TrueLengths,
    deadline_s: tuple[float, float],
) -> TrafficPart:
    begin_s = entries[places[0]].asked.at_s
    requests = []
    for number, place in enumerate(places):
        asked, length = entries[place].asked, lengths.lengths[place]
        requests.append(_request(number, asked, length, asked.at_s - begin_s, deadline_s))
    workload = TraceWorkload(replica, tuple(requests), range(len(requests)))
    return TrafficPart(replica, workload, tuple(places))


def _request(
    number: int, asked: Replayed, length: Length, at_s: float, deadline_s: tuple[float, float]
) -> TraceRequest:
    """The request of one body, with prompts taken as equally long."""
    before_s, after_s = deadline_s
    return TraceRequest(
        number=number,
        arrived_at_s=at_s,
        tenant=asked.tenant,
        prompt_tokens=max(1, asked.prompt_tokens // asked.prompts),
        output_tokens=length.tokens + length.cut,  # one more, so that max_tokens cuts it again
        max_tokens=max(1, asked.max_tokens // asked.prompts),
        prefix=_prefix(number, asked),
        priority=asked.priority,
        deadline_s=after_s if asked.deadline_s == before_s else asked.deadline_s,
        prompts=asked.prompts,
        answers=max(1, asked.sequences // asked.prompts),
        known_length=asked.known_length,
    )


def _prefix(number: int, asked: Replayed) -> tuple[str, ...]:
    """Names of blocks: cached ones are shared within the tenant, and by answers to one prompt."""
    shared = asked.cached_tokens // asked.prompts // SHARED_TOKENS
    names = [f"{asked.tenant}:{place}" for place in range(shared)]
    if asked.sequences > asked.prompts:
        blocks = (asked.prompt_tokens // asked.prompts - 1) // SHARED_TOKENS
        names += [f"={number}:{place}" for place in range(shared, blocks)]
    return tuple(names)
