"""The `access` section of a profile: API keys, and rules for a request's class and tenant."""

from pathlib import Path
from typing import Literal, Self

from pydantic import field_validator, model_validator

from serve.profile.keys import key
from serve.profile.sections import Section, check_names

_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"  # a token of RFC 9110


class RuleSection(Section):
    """The conditions of a rule, which must all hold, and its effect. Every matching rule applies.

    No caller can gain by a rule: it raises no class, and a header names tenants only below that of
    a key in `keys`.
    """

    keys: list[str] = key(
        [],
        what="Tenants whose API keys the rule is for; `anonymous` where there are no keys",
        unit="list",
        why="a lower class harms no other caller; `tenant_header` needs the keys named",
        zero="[]: every key",
        allowed="a list of tenants as in the API keys",
    )
    header: str | None = key(
        None,
        what="Header that the request must carry",
        unit="name",
        why="other conditions may do",
        zero="null: no such condition",
        allowed="the name of a header, e.g. X-Task",
        pattern=_HEADER,
    )
    header_value: str | None = key(
        None,
        what="Value that `header` must have",
        unit="text",
        why="that it is there is enough",
        zero="null: any value",
    )
    metadata: dict[str, str] = key(
        {},
        what="Pairs that the body's `metadata` must have",
        unit="map of text",
        why="other conditions may do",
        allowed="names with text, e.g. task: title_generation",
    )
    prompt_begins: str | None = key(
        None,
        what="Text that the prompt, or the last message of a user, must begin with",
        unit="text",
        why="other conditions may do",
        zero="null: no such condition",
        min_length=1,
        max_length=1000,
    )
    priority: Literal["normal", "low"] | None = key(
        None,
        what="Class of the request, where its key's class is not lower",
        unit="name",
        why="the key says it",
        zero="null: as the key says",
    )
    tenant_header: str | None = key(
        None,
        what="Header whose value is the tenant below the key's: TENANT/VALUE, with weight, budgets "
        "and fair turn of its own",
        unit="name",
        why="the key decides; a holder of one of `keys` can choose any name",
        zero="null: as the key says",
        allowed="the name of a header, e.g. X-OpenWebUI-User-Id",
        pattern=_HEADER,
    )

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.priority is None and self.tenant_header is None:
            raise ValueError("changes nothing; give priority or tenant_header")
        if self.header_value is not None and self.header is None:
            raise ValueError("header_value needs header")
        if self.tenant_header is not None and not self.keys:
            raise ValueError(
                "tenant_header needs keys: list the tenants whose callers may name others"
            )
        return self


class AccessSection(Section):
    """API keys and rules. Keys are hashed at rest; each maps to a tenant and a priority class."""

    api_keys_file: Path | None = key(
        None,
        strict=False,
        what="YAML file of API keys (see `configs/api-keys.example.yaml`), relative to the "
        "profile's folder",
        unit="path",
        why="without keys the gateway starts on loopback only",
        zero="null: no file",
        allowed="a path",
    )
    api_keys_env: str | None = key(
        None,
        what="Name of the environment variable that holds API keys in the same format",
        unit="name",
        why="for platforms that hand out secrets as variables",
        zero="null: no variable",
        allowed="the name of an environment variable, e.g. SLUICE_API_KEYS",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
    )
    isolate_prefix_cache: bool = key(
        False,
        what="Salt the prefix cache per tenant, so that no tenant can time another's prompts",
        unit="switch",
        why="sharing system prompts between tenants saves KV; switch on for mutual distrust",
        zero="false: tenants share cached prefixes",
    )

    rules: dict[str, RuleSection] = key(
        {},
        what="Requests that get a lower class, or a tenant by one of their headers, by a name of "
        "your choice",
        unit="map",
        why="the API key says class and tenant",
        allowed="names of 1 to 64 letters, digits, '.', '_' or '-', each with keys below it",
    )

    @field_validator("rules")
    @classmethod
    def _names_of_rules(cls, given: dict[str, RuleSection]) -> dict[str, RuleSection]:
        check_names(given, of="rule")
        return given

    @property
    def configured(self) -> bool:
        """Whether a source of API keys is named."""
        return self.api_keys_file is not None or self.api_keys_env is not None
