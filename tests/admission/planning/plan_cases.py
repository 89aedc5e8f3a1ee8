"""The case that every part of the plan is held against: Qwen3-32B in 4 bits on eight A10."""

from dataclasses import replace

from admission.planning.gpus import find_gpu
from admission.planning.memory.engine.arguments import EngineArguments
from admission.planning.memory.model.config_json import read_shape
from admission.planning.plan import Question
from admission.planning.workload import find_workload
from admission.terms.slo import parse_slo
from serve.models.catalogue import find_config

SLO = "ttft_p95<=5s,tpot_p95<=200ms,success>=99%"


def eight_a10(*, tp: int = 8, workload: str = "chat", slo: str = SLO) -> Question:
    """`tp` ranks an engine at utilization 0.90, as many engines as fit."""
    return Question(
        model=read_shape(find_config("Qwen/Qwen3-32B")),
        gpu=find_gpu("a10"),
        gpus=8,
        arguments=EngineArguments(
            tensor_parallel_size=tp,
            quantization="awq",
            gpu_memory_utilization=0.9,
            max_model_len=32_768,
        ),
        workload=find_workload(workload),
        slo=parse_slo(slo),
    )


def with_17_gib(question: Question) -> Question:
    """The same with the KV memory given, so that nothing is predicted."""
    return replace(question, available_kv_bytes=17 * 2**30)
