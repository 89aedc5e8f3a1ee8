"""Other ways to split the same GPUs into engines, in other weight formats too; the best of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from admission.planning.join import weights_of
from admission.planning.plan import Plan, Question, make_plan
from admission.planning.sentences import Sentence
from admission.planning.step_model import Weights

# Names of formats on the command line; FP8 is tried only if the question names it.
FORMATS = {"INT4": "awq", "INT8": "int8", "FP16": "none"}
_NAMES = {
    Weights.INT4: "INT4",
    Weights.INT8: "INT8",
    Weights.FP8: "FP8",
    Weights.BITS_16: "FP16",
}
_CARD_COUNTS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to use the cards; `plan` is None if vLLM would not start at all (`misfit`)."""

    tp: int
    pp: int
    replicas: int
    weights: str
    plan: Plan | None
    misfit: str
    asked: bool  # whether the weight format is the question's

    @property
    def name(self) -> str:
        """The `layout_name`, e.g. `2 x TP 4`."""
        return layout_name(self.tp, self.pp, self.replicas)

    @property
    def merit(self) -> tuple[float, float, float]:
        """Sort key: requests a second in the SLO, requests at once, KV tokens of all engines."""
        if self.plan is None or self.misfit:
            return (-1.0, 0.0, 0.0)
        load = self.plan.load
        tokens = self.plan.memory.capacity_tokens.expected * self.replicas
        return (load.rate_per_s or 0.0, load.sustained.expected, tokens)


def layout_name(tp: int, pp: int, replicas: int) -> str:
    """`2 x TP 4`; `TP 8` for a single engine."""
    engine = f"TP {tp}" + (f" PP {pp}" if pp > 1 else "")
    return engine if replicas == 1 else f"{replicas} x {engine}"


def weights_name(question: Question) -> str:
    """INT4, INT8, FP8 or FP16: the weight format of the question's arguments."""
    return _NAMES[weights_of(question.model, question.arguments)]


def as_layout(plan: Plan) -> Layout:
    """The deployment of a plan as a layout, in the question's format."""
    engine, question = plan.memory.engine, plan.question
    name = weights_name(question)
    return Layout(engine.tp, engine.pp, question.replicas, name, plan, plan.misfit, asked=True)


def layouts(question: Question) -> list[Layout]:
    """Every TP that is a power of two and divides the cards, widest first, in each format."""
    asked = weights_name(question)
    names = [asked, *(name for name in FORMATS if name != asked)]
    widths = [1 << i for i in reversed(range(question.gpus.bit_length()))]
    pp = question.arguments.pipeline_parallel_size
    return [
        _layout(question, tp, name, asked=name == asked)
        for name in names
        for tp in widths
        if question.gpus % (tp * pp) == 0
    ]


def best(found: list[Layout]) -> Layout | None:
    """The best that fits, in the question's format if any does; None = nothing fits.

    First by rate within the SLO, then by requests at once, then by KV tokens.
    """
    fitting = [x for x in found if not x.misfit]
    return max([x for x in fitting if x.asked] or fitting, key=lambda x: x.merit, default=None)


def reason(chosen: Layout, found: list[Layout]) -> str:
    """Why `chosen` is best: its numbers against the widest split that fits in the same format."""
    plan = chosen.plan
    if plan is None:
        return chosen.misfit
    load, rivals = plan.load, [x for x in found if x.weights == chosen.weights and not x.misfit]
    widest = max(rivals, key=lambda x: x.tp)
    own = {
        "name": chosen.name,
        "requests": load.sustained.expected,
        "binding": load.binding,
    }
    if widest.plan is None or widest.tp == chosen.tp:
        return Sentence("reason_alone", **own)
    other, assumed = widest.plan, plan.question.other_link is not None
    return Sentence(
        "reason_narrow_assumed" if assumed else "reason_narrow",
        **own,
        other=widest.name,
        other_requests=other.load.sustained.expected,
        other_binding=other.load.binding,
        other_tokens=other.memory.capacity_tokens.expected * widest.replicas,
        tokens=plan.memory.capacity_tokens.expected * chosen.replicas,
    )


def nearest_fit(question: Question) -> str:
    """The smallest change that makes it fit: a shorter context, a split, a format, more cards."""
    for sentence, changed in _changes(question):
        try:
            if not make_plan(changed).misfit:
                return sentence
        except ValueError:
            continue
    return Sentence("nearest_none")


def _changes(question: Question) -> Iterator[tuple[str, Question]]:
    """Changed questions, the smallest change first, each with its description."""
    given = question.arguments
    needed = question.workload.total_tokens
    plan = make_plan(question)
    if needed > plan.memory.engine.max_model_len:
        longer = replace(given, max_model_len=needed)
        yield Sentence("nearest_length", length=needed), replace(question, arguments=longer)
    length = int(plan.memory.max_concurrency.expected * plan.memory.engine.max_model_len)
    length = min(length, plan.memory.longest_tokens or length) // 1024 * 1024
    if length >= needed:
        shorter = replace(given, max_model_len=length)
        yield Sentence("nearest_length", length=length), replace(question, arguments=shorter)
    widths = [tp for tp in _CARD_COUNTS if given.tensor_parallel_size < tp <= question.gpus]
    names = [None, *(name for name in ("INT8", "INT4") if name != weights_name(question))]
    for name in names:
        for tp in ([] if name is None else [given.tensor_parallel_size]) + widths:
            yield _changed(question, question.gpus, tp, name)
    for cards in _CARD_COUNTS:
        if cards > question.gpus:
            yield _changed(question, cards, cards, None)


def _changed(question: Question, gpus: int, tp: int, name: str | None) -> tuple[str, Question]:
    """The question with other cards and split, perhaps another format, and its description."""
    sentence = (
        Sentence("nearest_format", tp=tp, weights=name)
        if name
        else Sentence("nearest_split", tp=tp)
    )
    if gpus != question.gpus:
        sentence = Sentence("nearest_cards", gpus=gpus, gpu=question.gpu.name, split=sentence)
    return sentence, _split(replace(question, gpus=gpus), tp, name)


def _split(question: Question, tp: int, name: str | None) -> Question:
    given = replace(question.arguments, tensor_parallel_size=tp)
    if name is not None:
        given = replace(given, quantization=FORMATS[name], weight_bits=None)
    return replace(question, arguments=given)


def _layout(question: Question, tp: int, name: str, *, asked: bool) -> Layout:
    """One split in one format. Given KV memory applies only to the question's own arguments."""
    made = _split(question, tp, None if asked else name)
    if made.arguments != question.arguments:
        made = replace(made, available_kv_bytes=None)
    pp, replicas = made.arguments.pipeline_parallel_size, made.replicas
    try:
        plan = make_plan(made)
    except ValueError as problem:
        return Layout(tp, pp, replicas, name, None, str(problem), asked)
    return Layout(tp, pp, replicas, name, plan, plan.misfit, asked)
