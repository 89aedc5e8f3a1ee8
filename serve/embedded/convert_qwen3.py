"""Qwen3-32B without weights: its shape, its tokenizer, a chat template, for the simulated engine.

`python -m serve.embedded.convert_qwen3 qwen.tiktoken TARGET`; run as a child process, as
`convert_gguf` is.
"""

import json
import sys
from pathlib import Path

import transformers
from transformers import AddedToken, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

from serve.models.catalogue import find_config

MODEL = "Qwen/Qwen3-32B"

# The vocabulary ends at 151,642; these follow in Qwen's own order, ids 151,643 to 151,668.
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PLACEHOLDERS = (
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# In Qwen3 these are ordinary text of an answer: parsers of tools and of reasoning look for them.
SPOKEN = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
FIRST_ID = 151_643

# How Qwen's tokenizers cut text before merging: words, single digits, punctuation, white space.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# ChatML with tools announced as Hermes does: the format the model speaks, in words of our own.
CHAT_TEMPLATE = """\
{%- set system = messages[0].content if messages and messages[0].role == "system" else "" -%}
{%- if system or tools -%}
<|im_start|>system
{{ system }}
{%- if tools %}

You may call these functions:
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>
To call one, answer with its name and arguments as JSON between <tool_call> and </tool_call>.
{%- endif %}<|im_end|>
{% endif -%}
{%- for message in messages -%}
{%- if loop.first and message.role == "system" -%}
{%- elif message.role == "tool" -%}
<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% else -%}
<|im_start|>{{ message.role }}
{{ message.content or "" }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


def convert(vocabulary: Path, target: Path) -> None:
    """Write config.json and a fast tokenizer into `target`."""
    backend = TikTokenConverter(str(vocabulary), PATTERN).converted()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=131_072,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
    control = [AddedToken(text, normalized=False, special=True) for text in CONTROL + PLACEHOLDERS]
    spoken = [AddedToken(text, normalized=False, special=False) for text in SPOKEN]
    tokenizer.add_tokens(control + spoken)
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
    last = FIRST_ID + len(CONTROL + PLACEHOLDERS + SPOKEN) - 1
    if tokenizer.convert_tokens_to_ids("</think>") != last:
        raise ValueError(f"{vocabulary.name} does not end where Qwen's vocabulary does")
    tokenizer.save_pretrained(target)
    config = dict(find_config(MODEL)) | {
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.pad_token_id,
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000,
        "transformers_version": transformers.__version__,  # without it each load warns of a defect
    }
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
