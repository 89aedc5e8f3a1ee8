"""A number with its range."""

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Estimate:
    """`low <= expected <= high`, all in one unit; equal ends mean that the number is exact."""

    low: float
    expected: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.expected <= self.high:
            raise ValueError(f"not in order: {self.low}, {self.expected}, {self.high}")

    @classmethod
    def exactly(cls, value: float) -> "Estimate":
        """A number without a range."""
        return cls(value, value, value)

    @classmethod
    def around(cls, value: float, *, below: float = 0.0, above: float = 0.0) -> "Estimate":
        """`value` less `below` to `value` plus `above`, in the value's unit."""
        return cls(value - below, value, value + above)

    @property
    def exact(self) -> bool:
        """Whether the range is a point."""
        return self.low == self.high

    def __add__(self, other: "Estimate") -> "Estimate":
        """Ends are added: errors are taken to fall together, never to cancel."""
        return Estimate(
            self.low + other.low, self.expected + other.expected, self.high + other.high
        )

    def subtracted_from(self, total: float) -> "Estimate":
        """What is left of `total`: the most when this is at its low end."""
        return Estimate(total - self.high, total - self.expected, total - self.low)

    def times(self, factor: float) -> "Estimate":
        """The same range in another unit; `factor` is positive."""
        return Estimate(self.low * factor, self.expected * factor, self.high * factor)


NOTHING = Estimate.exactly(0.0)
