"""Blocks by the ledger and by the engine's own count, at one step record."""

from typing import NamedTuple


class Comparison(NamedTuple):
    """What both say of one instant; `used` is the engine's.

    The engine may hold `unseen_blocks` of which no record tells yet, and of each of the `sequences`
    the ledger may be a block ahead. Within that, both agree.
    """

    held_blocks: int
    unseen_blocks: int
    sequences: int
    used_blocks: int
    used_ratio: float

    @property
    def agreed_blocks(self) -> int:
        """The nearest to the engine's count that agrees with the ledger."""
        least, most = self.held_blocks - self.sequences, self.held_blocks + self.unseen_blocks
        return min(max(self.used_blocks, least), most)

    @property
    def missing_blocks(self) -> int:
        """Blocks that the engine uses and the ledger does not count; below 0, it counts more."""
        return self.used_blocks - self.held_blocks - self.unseen_blocks
