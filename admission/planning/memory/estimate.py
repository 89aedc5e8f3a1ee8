"""A number with its range."""

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Estimate:
    """`low <= expected <= high` in the same unit; if `low` = `high` the number is exact."""

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
        """The range from `value - below` to `value + above`."""
        return cls(value - below, value, value + above)

    @property
    def exact(self) -> bool:
        """Whether the range is a point."""
        return self.low == self.high

    def __add__(self, other: "Estimate") -> "Estimate":
        """Adds the ends: errors are assumed to add up, never to cancel."""
        return Estimate(
            self.low + other.low, self.expected + other.expected, self.high + other.high
        )

    def subtracted_from(self, total: float) -> "Estimate":
        """`total` minus this; its high end comes from this estimate's low end."""
        return Estimate(total - self.high, total - self.expected, total - self.low)

    def times(self, factor: float) -> "Estimate":
        """The same range in another unit; `factor` is positive."""
        return Estimate(self.low * factor, self.expected * factor, self.high * factor)


NOTHING = Estimate.exactly(0.0)
