"""One engine as an oracle knows it: running requests, their true lengths, and exact step times.

An accepted request must meet three conditions, checked with the true lengths of all running
requests. The peak of KV use stays within the cache. The first token comes in time behind the
prompts ahead. The prompt slows no running sequence beyond the TPOT bound.
"""

from dataclasses import dataclass

from admission.price.footprint import EngineShape
from admission.price.prefixes import Prefixes, PrefixHashes
from admission.speed.linear_steps import StepCoefficients
from loadtests.lab.playing.door import Bounds
from loadtests.lab.playing.prefix_hasher import TracePrefixHasher
from loadtests.lab.playing.workload import TraceRequest
from loadtests.lab.policies.ema import peak_tokens
from serve.engine_step import EngineStep


def length_of(request: TraceRequest) -> int:
    """Tokens that the request will really produce."""
    return min(request.output_tokens, request.max_tokens)


def cost_s(request: TraceRequest, line: StepCoefficients, capacity_tokens: int) -> float:
    """Engine seconds that a request takes: its own work and its share of every step."""
    prompt, output = request.prompt_tokens, length_of(request)
    token_steps = prompt * output + output * (output + 1) / 2
    per_token_step = line.context_token_s + line.fixed_s / capacity_tokens
    own = line.prefill_token_s * prompt + line.decode_sequence_s * output
    return own + per_token_step * token_steps


@dataclass(slots=True, eq=False)
class _Guest:
    """A running request. `to_compute` prompt tokens are left; `behind` ones came after it."""

    request: TraceRequest
    prefix_hashes: PrefixHashes
    to_compute: int
    behind: int = 0
    generated: int = 0
    first_at_s: float | None = None


class KnownEngine:
    """Tracks one engine and decides whether a request fits; it plans `margin` of the TPOT bound."""

    def __init__(
        self, shape: EngineShape, line: StepCoefficients, bounds: Bounds, *, margin: float
    ) -> None:
        self._shape, self._line, self._bounds = shape, line, bounds
        self._tpot_s = bounds.tpot_s * margin
        self._guests: dict[str, _Guest] = {}
        self._step_began_at_s = 0.0  # the step that began then is the first to come
        self._alone_s = line.seconds(  # least seconds of a prompt token
            prefill_tokens=shape.max_batched_tokens, decode_sequences=0, context_tokens=0
        ) / (shape.max_batched_tokens)
        self._hasher, self._prefixes = TracePrefixHasher(shape.block_tokens), Prefixes(shape)

    @property
    def sequences(self) -> int:
        """Running requests."""
        return len(self._guests)

    def alone_s(self, request: TraceRequest) -> float:
        """The least seconds to compute its prompt on an idle engine with this cache."""
        return self._alone_s * self.new_tokens(request)

    def backlog_s(self) -> float:
        """The least seconds to compute the prompts of all running requests."""
        return self._alone_s * sum(guest.to_compute for guest in self._guests.values())

    def cost_s(self, request: TraceRequest) -> float:
        """`cost_s` without the prompt tokens that the cache holds."""
        cost = cost_s(request, self._line, self._shape.capacity_tokens)
        cached_tokens = request.prompt_tokens - self.new_tokens(request)
        return cost - self._line.prefill_token_s * cached_tokens

    def held_ratio(self) -> float:
        """Tokens of all running requests over the capacity of the cache."""
        return self._context_tokens() / self._shape.capacity_tokens

    def stepped(self, step: EngineStep, now_s: float) -> None:
        """Updates all running requests from a finished step."""
        self._step_began_at_s = now_s
        self._computed(step.prefill_tokens + step.cached_tokens)
        for state in step.running.values():
            guest = self._guests[state.external_req_id]
            guest.generated = state.stats.num_generation_tokens
            if guest.generated and guest.first_at_s is None:
                guest.first_at_s, guest.to_compute = now_s, 0
        for finished in step.finished:
            self._leave_cached(self._guests.pop(finished.engine_id))
        used = self._shape.usable_blocks * (step.kv_used_ratio or 0.0)
        self._prefixes.keep(self._shape.usable_blocks - round(used))

    def _leave_cached(self, guest: _Guest) -> None:
        """Keeps its blocks in the cache until they are reused."""
        tokens = guest.request.prompt_tokens + length_of(guest.request) - 1
        named = self._prefixes.blocks_of(guest.prefix_hashes, computed_tokens=tokens)
        self._prefixes.pass_over(tokens // self._shape.block_tokens - named)
        self._prefixes.let_go(guest.prefix_hashes, computed_tokens=tokens)

    def _computed(self, tokens: int) -> None:
        """Counts computed prompt tokens; the engine takes prompts in order of arrival."""
        for guest in self._guests.values():
            taken = min(tokens, guest.to_compute)
            guest.to_compute -= taken
            tokens -= taken
            if not tokens:
                return

    def let_in(self, request: TraceRequest, now_s: float) -> None:
        """Starts a request on this engine."""
        tokens = self.new_tokens(request)
        if not self._guests:
            self._step_began_at_s = now_s
        for guest in self._guests.values():
            guest.behind += tokens
        prefix_hashes = self._hasher.of(request)
        self._guests[str(request.number)] = _Guest(request, prefix_hashes, tokens)
        self._prefixes.hold(prefix_hashes)

    def new_tokens(self, request: TraceRequest) -> int:
        """Prompt tokens that the cache does not hold."""
        found = self._prefixes.find(self._hasher.of(request))
        return request.prompt_tokens - found.cached_tokens

    # -- the three conditions --------------------------------------------------------------

    def fits(self, request: TraceRequest, now_s: float) -> bool:
        """Whether the request and all running ones keep their bounds if it starts now."""
        if len(self._guests) >= self._shape.max_sequences:
            return False
        return (
            self._in_time(request, now_s) and self._keeps_tpot(request) and self._kv_fits(request)
        )

    def _full_step_s(self, sequences: int) -> float:
        tokens = max(1, self._shape.max_batched_tokens - sequences)
        return self._line.seconds(
            prefill_tokens=tokens, decode_sequences=sequences, context_tokens=self._context_tokens()
        )

    def _context_tokens(self) -> int:
        return sum(g.request.prompt_tokens + g.generated for g in self._guests.values())

    def _in_time(self, request: TraceRequest, now_s: float) -> bool:
        """Whether its first token is in time behind the prompts ahead, at full steps."""
        count = len(self._guests)
        backlog = sum(guest.to_compute for guest in self._guests.values())
        room = max(1, self._shape.max_batched_tokens - count)
        steps = -(-(backlog + self.new_tokens(request)) // room)
        from_s = self._step_began_at_s if count else now_s
        return (
            from_s + steps * self._full_step_s(count) <= request.arrived_at_s + self._bounds.ttft_s
        )

    def _keeps_tpot(self, request: TraceRequest) -> bool:
        """Whether the added time stays within the slack of every running request.

        A request that has already missed the bound itself, not only the planned part, is ignored.
        """
        tokens, count = self.new_tokens(request), len(self._guests) + 1
        decode_s = self._line.seconds(
            prefill_tokens=0,
            decode_sequences=count,
            context_tokens=self._context_tokens() + request.prompt_tokens,
        )
        if length_of(request) > 1 and decode_s > self._tpot_s:
            return False
        backlog = sum(guest.to_compute for guest in self._guests.values())
        room = max(1, self._shape.max_batched_tokens - count)
        for guest in self._guests.values():
            ahead = guest.behind if guest.first_at_s is None else backlog
            spare_s, steps = self._spare(guest, decode_s)
            kept_s = (self._bounds.tpot_s - self._tpot_s) * (length_of(guest.request) - 1)
            most = steps * room
            before_s = self._line.prefill_token_s * min(ahead, most)
            after_s = self._line.prefill_token_s * min(ahead + tokens, most)
            if before_s <= spare_s + kept_s and spare_s < after_s:
                return False
        return True

    def _spare(self, guest: _Guest, decode_s: float) -> tuple[float, int]:
        """Seconds that its remaining steps may take beyond decoding, and their number."""
        length = length_of(guest.request)
        allowed_s = self._tpot_s * (length - 1)
        if guest.first_at_s is None:
            return allowed_s - decode_s * (length - 1), length - 1
        steps = length - guest.generated
        spent_s = self._step_began_at_s - guest.first_at_s
        return allowed_s - spent_s - decode_s * steps, steps

    def _kv_fits(self, request: TraceRequest) -> bool:
        block = self._shape.block_tokens
        parts = [
            (
                _rounded(g.request.prompt_tokens + g.generated, block),
                length_of(g.request) - g.generated,
            )
            for g in self._guests.values()
        ]
        parts.append((_rounded(request.prompt_tokens, block), length_of(request)))
        return peak_tokens(parts) <= self._shape.capacity_tokens


def _rounded(tokens: int, block_tokens: int) -> int:
    """Whole blocks, and one more: the next token may need it."""
    return (-(-tokens // block_tokens) + 1) * block_tokens
