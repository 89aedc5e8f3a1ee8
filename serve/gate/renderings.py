"""The few places to render prompts in: who holds one, who waits, and for how long that will be."""

import asyncio
from collections.abc import Callable, Hashable

Ask = Callable[[Hashable, int], bool | None]

_REMEMBERED = 32  # renderings: their mean follows a change of prompts within a second or two


class Renderings:
    """So many at a time, in order of arrival. Seconds are the event loop's, not modelled ones.

    `ask` is asked of the first that waits whenever a place is free, and told how many hold one:
    True lets it in, False sends it away, None has it and all behind it wait for those inside.
    """

    def __init__(self, places: int, now_s: Callable[[], float], ask: Ask) -> None:
        self._places = places
        self._ask = ask
        self._now_s = now_s
        self._mean_s = 0.0
        self._begun: dict[Hashable, float] = {}  # who holds a place -> since when
        self._waiting: dict[Hashable, asyncio.Future[None]] = {}  # in order of arrival

    @property
    def wait_s(self) -> float:
        """How long a newcomer waits behind those that wait, by what renderings took of late.

        What holds a place now is counted as done: the wait is longer rather than shorter.
        """
        return len(self._waiting) * self._mean_s / self._places

    async def enter(
        self,
        who: Hashable,
        *,
        within_s: float | None = None,
        unless: asyncio.Future[None] | None = None,
    ) -> bool:
        """Waits for a place, kept until `leave`; False when sent away, or when none came in time.

        Nor does it wait any longer once `unless` is done.
        """
        turn = self._waiting[who] = asyncio.get_running_loop().create_future()
        self._let_in()
        if turn.done():
            return who in self._begun
        try:
            ends = {turn} if unless is None else {turn, unless}
            await asyncio.wait(ends, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.pop(who, None)
        return who in self._begun

    def leave(self, who: Hashable, *, rendered: bool = False) -> None:
        """Gives a place back, if there is one; `rendered` ones are remembered by their time."""
        begun_s = self._begun.pop(who, None)
        if begun_s is None:
            return
        if rendered:
            self._mean_s += (self._now_s() - begun_s - self._mean_s) / _REMEMBERED
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and len(self._begun) < self._places:
            first = next(iter(self._waiting))
            may = self._ask(first, len(self._begun))
            if may is None and self._begun:
                return
            if may is not False:
                self._begun[first] = self._now_s()
            self._waiting.pop(first).set_result(None)
