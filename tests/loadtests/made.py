"""Runs made up by a formula, so that reports and comparisons have something to show.

An engine whose steps take 20 ms and 0.3 ms for each that runs, with room for so many at once.
"""

import random
from collections.abc import Sequence

from admission.terms.slo import parse_slo
from loadtests.judging.interval import Counted, limit_interval
from loadtests.judging.summary import summarize
from loadtests.judging.verdict import judge
from loadtests.record import Outcome, Record, RunRecord, Sample

SLO = "ttft_p95<=2s,tpot_p95<=33ms,success>=99%"
ROOM = 44
CAPACITY_TOKENS = 120_000
TOKENS = 1500  # that a request holds
ENDPOINT = {
    "model": "qwen3-32b",
    "max_model_len": 32768,
    "time_scale": 4.0,
    "simulated": True,
    "mode": "enforce",
    "config": "3f1c9a",
    "settings": {"policy": "footprint", "queue": {"max_requests": 64}, "quantile": 0.9},
    "engine": {"capacity_tokens": CAPACITY_TOKENS, "max_num_seqs": 256},
    "versions": {"version": "0.32.0", "sluice": "0.1.0"},
}
ABOUT = {
    "run": "made",
    "at": "2026-01-01T00:00:00+0000",
    "url": "http://127.0.0.1:8000",
    "scenario": "chat",
    "load": "search",
    "seed": 1,
    "slo": SLO,
    "endpoint": ENDPOINT,
    "machine": "Linux x86_64, Python 3.11",
    "cpus": 2,
    "command": "sluice limit --host http://127.0.0.1:8000",
}
CLIENT = {"beats": 9, "lag_p99_s": 0.02, "cpu_ratio": 0.3, "time_scale": 4.0, "flaws": []}


def tpot_s(running: float) -> float:
    return 0.020 + 0.0003 * min(running, ROOM)


def request(
    number: int, at_s: float, running: float, rng: random.Random, **changed: object
) -> Record:
    """One of so many that run; those above the room wait, and are refused where too many do."""
    asked = max(1, int(rng.lognormvariate(5.3, 0.6)))
    prompt = max(1, int(rng.lognormvariate(6.5, 0.5)))
    waited_s = max(0.0, running - ROOM) * 0.12 * rng.uniform(0.5, 1.5)
    first_s = 0.08 + prompt / 8000 + waited_s + rng.expovariate(8)
    pace_s = tpot_s(running) * rng.uniform(0.93, 1.1)
    fields: dict[str, object] = {
        "id": f"made-{number}",
        "kind": "chat",
        "outcome": Outcome.ANSWERED,
        "intended_at_s": at_s,
        "lag_s": 0.001,
        "e2e_s": first_s + pace_s * (asked - 1),
        "ttft_s": first_s,
        "tpot_s": pace_s if asked > 1 else None,
        "queued_s": waited_s,
        "status": 200,
        "output_tokens": asked,
        "asked_output_tokens": asked,
        "asked_prompt_tokens": prompt,
        "tenant": "anonymous",
    }
    if waited_s > 4:
        fields |= {"outcome": Outcome.REFUSED, "status": 429, "reason": "kv_capacity"}
        fields |= {"e2e_s": 0.02, "ttft_s": None, "tpot_s": None, "output_tokens": 0}
        fields["retry_after_s"] = 5.0
    return Record(**fields | changed)  # type: ignore[arg-type]


def sample(at_s: float, running: float, counted: dict[str, int]) -> Sample:
    held = min(running, ROOM) * TOKENS
    return Sample(
        at_s,
        kv_capacity_tokens=CAPACITY_TOKENS,
        kv_held_tokens=held,
        kv_peak_tokens=min(CAPACITY_TOKENS, held * 1.7),
        kv_used_ratio=held * 0.93 / CAPACITY_TOKENS,
        queued=max(0.0, running - ROOM),
        running=min(running, ROOM),
        waiting=0.0,
        preemptions=0.0,
        decisions=dict(counted),
    )


ROUNDS: Sequence[tuple[int, str]] = (
    *((users, "doubling") for users in (4, 8, 16, 32, 64)),
    *((users, "bisecting") for users in (48, 40, 36, 34)),
    (33, "confirming"),
    *((users, "descending") for users in (41, 34, 33)),
)
LIMIT = 33


def search(seed: int = 1, *, samples: bool = True) -> RunRecord:
    """A search that found `LIMIT`."""
    rng = random.Random(seed)
    slo, at_s = parse_slo(SLO), 0.0
    records: list[Record] = []
    looks: list[Sample] = []
    counted = {"accepted": 0, "queued": 0, "rejected": 0, "abandoned": 0}
    rounds = []
    for users, phase in ROUNDS:
        warm_up_s, seconds = 12.0, 120.0 if phase == "confirming" else 60.0
        began_s = at_s + warm_up_s
        every_s = (1.0 + 200 * tpot_s(users)) / min(users, ROOM + 6)
        mine = []
        while at_s < began_s + seconds:
            one = request(len(records), at_s, users + rng.gauss(0, 1), rng, stage=str(users))
            records.append(one)
            if at_s >= began_s:
                mine.append(one)
            refused = one.outcome is Outcome.REFUSED
            counted["rejected" if refused else "accepted"] += 1
            counted["queued"] += bool(one.queued_s)
            looks.append(sample(at_s, users + rng.gauss(0, 0.7), counted))
            at_s += rng.expovariate(1 / every_s)
        found = summarize(mine, slo, seconds)
        checks = judge(mine, slo).checks
        rounds.append(
            {
                "concurrency": users,
                "phase": phase,
                "soak": phase == "confirming",
                "seen": "met" if users <= LIMIT else "missed",
                "seconds": seconds,
                "warm_up_s": warm_up_s,
                "began_s": began_s,
                "terms": [term(check) for check in checks],
                "offered": found.offered,
                "outcomes": dict(found.outcomes),
                "held": found.held,
                "reasons": found.reasons,
                "output_tokens_per_s": found.output_tokens_per_s,
                "finished_per_s": found.finished_per_s,
                "ended_per_s": found.ended_per_s,
                "goodput_ratio": found.goodput_ratio,
                "percentiles": found.percentiles,
                "binding_limit": "kv" if users > ROOM else "decode" if users > LIMIT else None,
                "client": CLIENT,
            }
        )
    return RunRecord(ABOUT, tuple(records), {}, tuple(looks) if samples else (), limit(rounds))


def term(check: object) -> dict[str, object]:
    names = ("metric", "needed_ratio", "bound", "value", "kept", "of")
    return {name: getattr(check, name) for name in names}


def limit(rounds: Sequence[dict[str, object]]) -> dict[str, object]:
    """As `sluice limit --json` prints it."""
    counted = [
        Counted(each["concurrency"], t["metric"], t["needed_ratio"], t["kept"], t["of"])  # type: ignore[index,arg-type]
        for each in rounds
        for t in each["terms"]  # type: ignore[attr-defined]
    ]
    return {
        "v": 1,
        "sentence": f"sustains {LIMIT} concurrent users of chat",
        "exit_code": 0,
        "url": ABOUT["url"],
        "scenario": "chat",
        "slo": SLO,
        "endpoint": ENDPOINT,
        "asked_concurrency": None,
        "sustained_concurrency": LIMIT,
        "interval_95": limit_interval(counted, LIMIT),
        "search": {
            "users": LIMIT,
            "confirmed": True,
            "from_above": LIMIT,
            "at_most": False,
            "invalid": False,
        },
        "fails_first": {
            "concurrency": 34,
            "metric": "tpot",
            "needed_ratio": 0.95,
            "bound": 0.033,
            "value": 0.0334,
            "kept": 180,
            "of": 200,
        },
        "binding_limit": "decode",
        "prediction": {
            "low": 28,
            "expected": 35,
            "high": 41,
            "binds": "decode",
            "error_ratio": 0.06,
        },
        "beside": None,
        "rounds": list(rounds),
        "wall_s": 300.0,
        "about": {name: value for name, value in ABOUT.items() if name != "endpoint"},
    }


def overload(
    seed: int = 1, *, per_s: float = 9.0, seconds: float = 300.0, slower: float = 1.0
) -> RunRecord:
    """An open loop that rises to more than is carried; `slower` times as slow an engine."""
    asks, rng = random.Random(seed), random.Random(seed + 100 * slower)
    records: list[Record] = []
    looks: list[Sample] = []
    counted = {"accepted": 0, "queued": 0, "rejected": 0, "abandoned": 0}
    at_s = 0.0
    while at_s < seconds:
        at_s += asks.expovariate(per_s * (0.2 + at_s / seconds))
        running = sum(each.ended_at_s > at_s for each in records[-400:]) * slower
        one = request(len(records), at_s, running + rng.gauss(0, 1), asks)
        records.append(one)
        refused = one.outcome is Outcome.REFUSED
        counted["rejected" if refused else "accepted"] += 1
        counted["queued"] += bool(one.queued_s)
        looks.append(sample(at_s, running, counted))
    about = ABOUT | {
        "load": "ramp for 300 s",
        "retries": 0,
        "obeys_retry_after": 1.0,
        "patience_s": None,
        "hangs_up": 0.0,
    }
    return RunRecord(about, tuple(records), CLIENT | {"unfinished": 0}, tuple(looks))
