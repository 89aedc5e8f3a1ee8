"""The usual back-of-the-envelope calculation, line by line, compared with the model's numbers."""

from dataclasses import dataclass

from admission.planning.layouts import weights_name
from admission.planning.memory.model.formats import FULL
from admission.planning.memory.weights import Split, weights_per_gpu
from admission.planning.plan import Plan, requests_by_kv
from admission.planning.sentences import Sentence

KEPT_BACK_GB_PER_CARD = 2.5  # 20 GB of eight cards
GB_PER_REQUEST = 2.0  # "a request of 2K to 4K tokens"
REQUEST_TOKENS = 4096  # the long end; at 2K the model's number is even larger
_ROUNDING_UP = 1.1  # on the bare weights: 32.8e9 x 0.5 bytes = 16.4 -> 18 GB
_LABELS_GB = (8, 11, 12, 16, 24, 32, 40, 48, 64, 80, 96, 141, 180, 192)  # as printed on boxes
_BYTES = {"INT4": 0.5, "INT8": 1.0, "FP8": 1.0, "FP16": 2.0}
_GB = 1e9


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One line of the calculation: the rule's number and the model's, over all cards."""

    what: str
    unit: str
    rule: float
    model: float
    why: str

    @property
    def error_ratio(self) -> float | None:
        """Relative error of the rule: 0 = right, -1 = the rule gives 0; None if the model is 0."""
        return self.rule / self.model - 1 if self.model else None


def rule_of_thumb(plan: Plan) -> list[RuleRow]:
    """(cards x label - weights - kept back) / 2 GB, and the plan's numbers, in GB of 1e9 bytes.

    The rule's weights are parameters x bits / 8, plus 10 %.
    """
    question, budget = plan.question, plan.memory.budget
    cards, replicas = question.gpus, question.replicas
    per_card = _GB / cards
    memory = cards * _label_gb(question.gpu.total_gib)
    weights = float(round(_parameters(plan) * _BYTES[weights_name(question)] * _ROUNDING_UP / _GB))
    kept = cards * KEPT_BACK_GB_PER_CARD
    left = memory - weights - kept
    working = budget.activation + budget.graphs + budget.non_torch
    tokens = min(REQUEST_TOKENS, plan.memory.engine.max_model_len)
    by_kv = replicas * requests_by_kv(plan.memory, plan.memory.expected, tokens)
    request_gb = plan.memory.bytes_per_token * tokens / _GB
    why = Sentence("rule_request_why", tokens=tokens)
    in_slo = Sentence("rule_in_slo_why", binding=plan.load.binding)
    requests = max(0.0, left // GB_PER_REQUEST)
    return [
        _line("memory", "GB", memory, budget.total.expected / per_card),
        _line("weights", "GB", weights, budget.weights.expected / per_card),
        _line("kept", "GB", kept, (working.expected + budget.outside) / per_card),
        RuleRow(Sentence("rule_left"), "GB", left, budget.kv.expected / per_card, ""),
        RuleRow(Sentence("rule_request"), "GB", GB_PER_REQUEST, request_gb, why),
        _line("by_kv", "", requests, by_kv),
        RuleRow(Sentence("rule_in_slo"), "", requests, plan.load.sustained.expected, in_slo),
    ]


def _line(name: str, unit: str, rule: float, model: float) -> RuleRow:
    """A line with the sentences `rule_{name}` and `rule_{name}_why`."""
    return RuleRow(Sentence(f"rule_{name}"), unit, rule, model, Sentence(f"rule_{name}_why"))


def _label_gb(total_gib: float) -> int:
    """The label of a card with `total_gib`: the next larger usual size."""
    slack_gib = 0.01  # some totals are the label exactly
    return next((x for x in _LABELS_GB if x + slack_gib >= total_gib), round(total_gib))


def _parameters(plan: Plan) -> float:
    """Parameters of the model: the bytes of its weights in 16 bits on one GPU, halved."""
    split = Split(1, 1, FULL, 2, 1)
    return weights_per_gpu(plan.question.model, split)[0].expected / 2
