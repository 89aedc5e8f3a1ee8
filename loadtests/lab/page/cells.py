"""Reads a finished cell from the lab's JSON, for pages and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from loadtests.lab.catalogue import ABLATIONS, NOISE, NOISY

ORACLE_A, ORACLE_B = "oracle_a", "oracle_b"
_NOT_BASELINES = {ORACLE_A, ORACLE_B, *ABLATIONS, *NOISY}


@dataclass(frozen=True, slots=True)
class FoundCell:
    """One cell; shares are in per cent of all offered requests."""

    told: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name in a grid, else its trace and its load or rate."""
        told = self.told
        if "cell" in told:
            return str(told["cell"])
        at = f"{told['load']:g}x" if told["load"] else f"rate x {told['rate_scale']:.3g}"
        cache = "" if told["kv_tokens"] is None else f"-{told['kv_tokens']}"
        return f"{PurePath(told['trace']).name.split('.')[0]}-{at}{cache}"

    @property
    def rows(self) -> Mapping[str, Mapping[str, Any]]:
        """Rows by policy; the others are compared with the first."""
        return {row["policy"]: row for row in self.told["rows"]}

    @property
    def first(self) -> str:
        """The policy that the others are compared with."""
        return str(self.told["rows"][0]["policy"])

    @property
    def baselines(self) -> Sequence[str]:
        """The other policies, without oracles and ablations."""
        return [name for name in self.rows if name != self.first and name not in _NOT_BASELINES]

    def share(self, policy: str) -> float | None:
        """The policy's share served in time; None = not played."""
        row = self.rows.get(policy)
        return None if row is None else 100.0 * row["share_of_offered"]

    @property
    def bound(self) -> float | None:
        """The share that no schedule exceeds."""
        most = self.told["bound_goodput_per_s"]
        offered_per_s = self.told["rows"][0]["offered_per_s"]
        return None if most is None else min(100.0, 100.0 * most / offered_per_s)

    def ahead(self, policy: str) -> Mapping[str, float] | None:
        """The first policy's lead over this one: `share`, `low`, `high`, in per cent."""
        found = self.told[f"{self.first}_served_more_than"].get(policy)
        return None if found is None else {key: 100.0 * value for key, value in found.items()}

    @property
    def ablations(self) -> Sequence[str]:
        """The played ablations: ours without one gate."""
        return [name for name in ABLATIONS if name in self.rows]

    @property
    def noise(self) -> Sequence[tuple[float, float]]:
        """(sigma, share) of the policy with noisy lengths; empty if not played."""
        shares = [(0.0, self.share(ORACLE_A))]
        shares += [(sigma, self.share(name)) for sigma, name in zip(NOISE, NOISY, strict=True)]
        known = [(sigma, share) for sigma, share in shares if share is not None]
        return known if len(known) > 1 else []

    @property
    def sweep(self) -> Sequence[tuple[int, float]]:
        """(N, share) of every `static` that was played."""
        rows = [row for row in self.told["sweep"] if row["policy"] == "static"]
        return sorted((row["n"], 100.0 * row["share_of_offered"]) for row in rows)


def policies_of(cells: Sequence[FoundCell]) -> list[str]:
    """The first policy and the baselines of all cells, in order."""
    return list(dict.fromkeys(name for cell in cells for name in (cell.first, *cell.baselines)))
