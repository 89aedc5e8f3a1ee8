"""What requests look like on average: tokens in, tokens out."""

from dataclasses import dataclass, replace

from admission.spelling import UnknownNameError


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests of `isl_tokens` in and `osl_tokens` out; nothing is cached (the safe side)."""

    name: str
    isl_tokens: int
    osl_tokens: int
    source: str

    def __post_init__(self) -> None:
        if min(self.isl_tokens, self.osl_tokens) < 1:
            raise ValueError("isl and osl are at least one token each")

    @property
    def total_tokens(self) -> int:
        """What one request holds in the KV cache just before it ends."""
        return self.isl_tokens + self.osl_tokens

    def of_length(self, total_tokens: int) -> "Workload":
        """The same answers (half the request at most) after prompts that fill up the rest."""
        osl = min(self.osl_tokens, total_tokens // 2)
        return replace(self, isl_tokens=total_tokens - osl, osl_tokens=osl)


# Means of public traces; a mean hides the spread, which the gateway prices request by request.
PRESETS = {
    "chat": Workload("chat", 862, 665, "ShareGPT prompts answered by Qwen3-32B, means"),
    "rag": Workload("rag", 4096, 512, "assumed: some eight passages of 500 tokens, short answer"),
    "long-context": Workload(
        "long-context", 12_035, 343, "Mooncake's conversation trace, means, no prefix cached"
    ),
    "code": Workload("code", 2048, 28, "Azure's code completion trace of 2023, means"),
}


def find_workload(name: str) -> Workload:
    """The preset of that name; ValueError with the nearest known."""
    if name not in PRESETS:
        raise UnknownNameError("workload", name, PRESETS)
    return PRESETS[name]
