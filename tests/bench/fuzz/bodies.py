"""Where mutations begin: good bodies of every POST route."""

from typing import Any

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
EXPLAIN, TOKENIZE, DETOKENIZE = "/v1/admission/explain", "/tokenize", "/detokenize"
LIMITS = {"max_tokens", "max_completion_tokens", "max_output_tokens"}

_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_CARD = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"value": {"type": "number"}, "next": {"$ref": "#/$defs/Node"}},
        }
    },
}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "of a city", "parameters": _CITY},
}
_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
}
_HELLO = [{"role": "user", "content": "Hello!"}]
_CHATS: list[dict[str, Any]] = [
    {"messages": _HELLO},
    {"messages": _HELLO, "stream": True, "stream_options": {"include_usage": True}},
    {"messages": _HELLO, "logprobs": True, "top_logprobs": 2, "n": 2, "temperature": 0.7},
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {"role": "assistant", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
        "tools": [TOOL],
        "tool_choice": "auto",
    },
    {"messages": _HELLO, "tools": [TOOL], "tool_choice": "required", "stream": True},
    {
        "messages": _HELLO,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    },
    {
        "messages": _HELLO,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "card", "schema": _CARD, "strict": True},
        },
    },
    {"messages": _HELLO, "response_format": {"type": "json_object"}, "stream": True},
    {"messages": _HELLO, "structured_outputs": {"regex": "[a-c]{1,4}"}},
    {"messages": _HELLO, "structured_outputs": {"choice": ["yes", "no"]}, "stream": True},
    {"messages": _HELLO, "structured_outputs": {"json": _CARD}},
    {"messages": _HELLO, "structured_outputs": {"grammar": 'root ::= "a" root | "b"'}},
    {"messages": _HELLO, "stop": ["x", "yz"], "logit_bias": {"5": 3}, "min_tokens": 1},
]
_PROMPTS: list[dict[str, Any]] = [
    {"prompt": "Hello!"},
    {"prompt": ["Hello!", "You"], "n": 2, "temperature": 1.0},
    {"prompt": [1, 2, 3, 4], "stream": True},
    {"prompt": "Hello!", "echo": True, "logprobs": 2, "n": 2, "stop": ["a"], "stream": True},
    {"prompt": "Hello!", "echo": True, "logprobs": 1, "prompt_logprobs": 1},
    {"prompt": "Hello!", "structured_outputs": {"choice": ["yes", "no"]}},
    {"prompt": "Hello!", "stop_token_ids": [5], "include_stop_str_in_output": True},
]
_INPUTS: list[dict[str, Any]] = [
    {"input": "Hello!"},
    {"input": "Hello!", "stream": True, "instructions": "Be brief."},
    {
        "input": [
            {"role": "user", "content": "Hi"},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Weather?"}],
            },
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "get_weather",
                "arguments": '{"city": "Paris"}',
            },
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        ],
        "tools": [{"type": "function", "name": "get_weather", "parameters": _CITY}],
    },
    {
        "input": "Hello!",
        "text": {"format": {"type": "json_schema", "name": "card", "schema": _CARD}},
        "reasoning": {"effort": "low"},
        "metadata": {"a": "b"},
        "truncation": "auto",
    },
    {
        "input": "Hello!",
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
        "store": False,
        "stream": True,
    },
    {
        "input": "Hello!",
        "tools": [{"type": "function", "name": "f", "parameters": _CITY, "strict": True}],
        "tool_choice": {"type": "function", "name": "f"},
    },
]
_TURNS: list[dict[str, Any]] = [
    {"messages": _HELLO},
    {"messages": _HELLO, "stream": True, "system": "Be brief.", "stop_sequences": ["x"]},
    {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "tool_use",
                        "id": "t1",
                        "name": "get_weather",
                        "input": {"city": "Paris"},
                    }
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}],
            },
        ],
        "tools": [{"name": "get_weather", "description": "of a city", "input_schema": _CITY}],
        "tool_choice": {"type": "auto"},
    },
    {"messages": _HELLO, "output_config": {"format": {"type": "json_schema", "schema": _CARD}}},
    {
        "messages": _HELLO,
        "thinking": {"type": "disabled"},
        "metadata": {"user_id": "u"},
        "top_k": 3,
    },
]


def good_bodies(model: str, *, tokens: int = 2) -> list[tuple[str, dict[str, Any]]]:
    """Path and body, each of which is a 200 on an engine that chooses its tokens."""
    limited = {"model": model, "max_tokens": tokens}
    generating = [
        *((CHAT, {**limited, **body}) for body in _CHATS),
        *((COMPLETIONS, {**limited, **body}) for body in _PROMPTS),
        *((RESPONSES, {"model": model, "max_output_tokens": tokens, **body}) for body in _INPUTS),
        *((MESSAGES, {**limited, **body}) for body in _TURNS),
    ]
    explained = [
        (f"{EXPLAIN}?route={path}", body)
        for path, body in (generating[0], generating[13], generating[20], generating[26])
    ]
    return [
        *generating,
        *explained,
        (TOKENIZE, {"model": model, "prompt": "Hello!"}),
        (TOKENIZE, {"model": model, "messages": _HELLO, "return_token_strs": True}),
        (DETOKENIZE, {"model": model, "tokens": [1, 2, 3]}),
    ]
