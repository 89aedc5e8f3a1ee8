"""What is promised of each row, until when, and its sum over all rows."""

from admission.ledger.curve import DemandCurve
from admission.ledger.demand import BUCKET_STEPS, Demand, Ramp
from admission.price.footprint import EngineShape, Segment
from admission.price.outlook import Fate

TOLERANCE_STEPS = BUCKET_STEPS // 2  # a row further off its demand than this is promised anew
DELAY_MAX_STEPS = 1024  # a longer way to the first token is promised anew when it comes to that


class Promises:
    """One demand for each row of the ledger, and the `curve` of them all."""

    def __init__(self, engine: EngineShape) -> None:
        self.curve = DemandCurve(
            horizon_steps=engine.max_model_len + DELAY_MAX_STEPS + 2 * BUCKET_STEPS,
            max_tokens=engine.max_model_len + engine.lookahead_tokens,
            block_tokens=engine.block_tokens,
        )
        self._lookahead_tokens = engine.lookahead_tokens
        self._traces: dict[int, Demand] = {}

    def __len__(self) -> int:
        return len(self._traces)

    # -- rows ------------------------------------------------------------------------------

    def end_step(self, row: int) -> int:
        """The step until which something is promised of a row."""
        return self._traces[row].end_step

    def give(self, row: int, demand: Demand) -> None:
        """Set the demand, made in this step, of a row that has none."""
        self._traces[row] = demand
        self.curve.add(demand)

    def give_anew(self, row: int, ramp: Ramp) -> None:
        """Replace the demand of the row, if it has one."""
        if row in self._traces:
            self.take_back(row)
        self.give(row, self.curve.demand(ramp))

    def take_back(self, row: int) -> None:
        """The row has ended: remove its demand."""
        self.curve.remove(self._traces.pop(row))

    # -- ramps -----------------------------------------------------------------------------

    def first(self, segment: Segment, begin_step: int, *, entwined: int) -> Ramp:
        """Upper envelope: growth as from now, end as from `begin_step`."""
        last = now = segment.prompt_tokens + segment.grow_tokens
        if not segment.reserved:
            now = segment.prompt_tokens + (self._lookahead_tokens if segment.sequences else 0)
        fate = Fate(segment.outlook, begin_step, copies=segment.copies)
        return _uncertain(now, last, fate, sequences=segment.sequences, entwined=entwined)

    def rest(self, prompt_tokens: int, fate: Fate, *, reserved: bool, entwined: int) -> Ramp:
        """The remaining ramp of a running sequence."""
        last = now = prompt_tokens + max(fate.produced, fate.outlook.most_tokens)
        if not reserved:
            now = prompt_tokens + fate.produced + self._lookahead_tokens
        return _uncertain(now, last, fate, sequences=1, entwined=entwined)

    def under(self, tokens: int, fate: Fate, *, entwined: int) -> Ramp:
        """A prompt that several completions of one lease share, until the last of them ends."""
        return _uncertain(tokens, tokens, fate, sequences=0, entwined=entwined)

    def until(self, tokens: int, end_step: int) -> Ramp:
        """A shared prefix, held for certain until `end_step`."""
        return Ramp(tokens, tokens, end_step, sequences=0)

    def beside(self, row: int, tokens: int, until_step: int) -> Demand:
        """What holding `tokens` of a row until `until_step` adds; all, if the row owns them."""
        return self.curve.demand(self.until(tokens, max(until_step, self.end_step(row))))

    def beyond(self, shared_prefix: int, tokens: int, until_step: int) -> Demand:
        """The same for a shared prefix that is promised already: only what comes after that."""
        ramp = self.until(tokens, max(until_step, self.end_step(shared_prefix)))
        from_step = self._traces[shared_prefix].end * BUCKET_STEPS
        return self.curve.demand(ramp._replace(from_step=from_step))


def _uncertain(tokens: int, last_tokens: int, fate: Fate, *, sequences: int, entwined: int) -> Ramp:
    """Until the last step at which it may run, and as far as it may stray."""
    return Ramp(
        tokens,
        last_tokens,
        fate.end_step + TOLERANCE_STEPS,
        sequences,
        None if fate.outlook.survival is None else fate,
        entwined,
    )
