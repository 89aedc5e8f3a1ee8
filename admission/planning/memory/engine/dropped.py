"""Architectures that vLLM no longer supports, with the last release that did.

Source: `_PREVIOUSLY_SUPPORTED_MODELS`, model_executor/models/registry.py of vLLM 0.32. A test
compares the table with the installed vLLM.
"""

from admission.planning.memory.engine.versions import Version, parse_version

_LAST: dict[str, tuple[str, ...]] = {
    "0.10.2": (
        "MotifForCausalLM",
        "Phi4FlashForCausalLM",
        "DonutForConditionalGeneration",
        "MllamaForConditionalGeneration",
    ),
    "0.9.2": ("Phi3SmallForCausalLM",),
    "0.12.0": ("Phi4MultimodalForCausalLM",),
    "0.22.0": ("JAISLMHeadModel",),
    "0.23.0": (
        "ErnieModel",
        "ErnieForSequenceClassification",
        "ErnieForTokenClassification",
        "InternLM2VEForCausalLM",
        "QWenLMHeadModel",
        "QwenVLForConditionalGeneration",
        "InternLMForCausalLM",
        "XverseForCausalLM",
        "Dots1ForCausalLM",
        "BambaForCausalLM",
        "MiniMaxForCausalLM",
        "MiniMaxText01ForCausalLM",
        "MiniMaxM1ForCausalLM",
        "MiniMaxVL01ForConditionalGeneration",
        "BaiChuanForCausalLM",
        "BaichuanForCausalLM",
        "Tarsier2ForConditionalGeneration",
    ),
    "0.24.0": (
        "AquilaModel",
        "AquilaForCausalLM",
        "Grok1ModelForCausalLM",
        "Grok1ForCausalLM",
        "TarsierForConditionalGeneration",
        "MantisForConditionalGeneration",
        "MusicFlamingoForConditionalGeneration",
        "AyaVisionForConditionalGeneration",
    ),
    "0.25.0": (
        "TeleChatForCausalLM",
        "PersimmonForCausalLM",
        "FuyuForCausalLM",
    ),
    "0.26.0": (
        "Plamo2ForCausalLM",
        "OuroForCausalLM",
    ),
    "0.28.0": (
        "ArcticForCausalLM",
        "ChameleonForConditionalGeneration",
        "Cheers",
        "CheersForConditionalGeneration",
        "Fairseq2LlamaForCausalLM",
        "FireRedLIDForConditionalGeneration",
        "GritLM",
        "HCXVisionForCausalLM",
        "MPTForCausalLM",
        "MptForCausalLM",
        "RWForCausalLM",
        "StableLMEpochForCausalLM",
        "PrithviGeoSpatialMAE",
    ),
}
LAST_RELEASE = {name: release for release, names in _LAST.items() for name in names}


def refuse_dropped(architecture: str, version: Version) -> None:
    """Raises a ValueError with the last release that supports it if `version` is later."""
    last = LAST_RELEASE.get(architecture)
    if last is not None and version.minor > parse_version(last).minor:
        raise ValueError(
            f"vLLM {version} does not load this: {last} was the last release with {architecture};"
            f" plan for it with vllm_version {last}"
        )
