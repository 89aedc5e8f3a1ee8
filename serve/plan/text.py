"""The plan for a terminal of 80 columns."""

import textwrap

from admission.advice import advise
from admission.layouts import Layout, best, layouts, reason, weights_name
from admission.memory.estimate import GIB, Estimate
from admission.plan import LIMITS, Load, Plan, over_context
from admission.rule_of_thumb import rule_of_thumb

_COLUMNS = 80
_BAR_COLUMNS = 60
_MARKS = {"weights": "W", "activation": "a", "graphs": "g", "non_torch": "n", "kv": "K"}


def text(plan: Plan) -> str:
    """All sections, none wider than 80 columns."""
    found = layouts(plan.question)
    chosen = best(found)
    sections = (
        _heading(plan),
        _memory(plan),
        _capacity(plan),
        _limits(plan),
        _context(plan),
        _layouts(found, chosen),
        _rule(plan),
        _advice(chosen),
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _heading(plan: Plan) -> list[str]:
    question, engine = plan.question, plan.memory.engine
    work = question.workload
    return [
        f"{question.gpus} x {engine.gpu.name}: {question.replicas} engine(s) of TP {engine.tp}"
        f" PP {engine.pp}, {weights_name(question)} weights, vLLM {engine.version}",
        f"max_model_len {engine.max_model_len}, max_num_seqs {engine.max_sequences},"
        f" max_num_batched_tokens {engine.max_batched_tokens}",
        f"workload {work.name}: {work.isl_tokens} tokens in, {work.osl_tokens} out, none cached",
        *_wrapped(f"({work.source})"),
        f"SLO {str(question.slo) or 'none'}",
        *_wrapped(*(f"warning: {warning}" for warning in plan.memory.warnings)),
    ]


def _memory(plan: Plan) -> list[str]:
    """One GPU as a bar and a table; `=` exact, `~` estimated."""
    budget = plan.memory.budget
    total = budget.total.expected
    bar = "".join(
        _MARKS.get(name, ".") * round(_BAR_COLUMNS * max(0.0, part.expected) / total)
        for name, part in budget.parts()
    )
    lines = ["MEMORY OF ONE GPU (GiB; = exact, ~ estimated)", f"|{bar[:_BAR_COLUMNS]}|"]
    for name, part in budget.parts():
        mark = _MARKS.get(name, ".")
        lines.append(f"  {mark} {name:<11}{_gib(part)}")
    return [*lines, f"    {'card':<11}{_gib(budget.total)}"]


def _gib(part: Estimate) -> str:
    sign = "=" if part.exact else "~"
    ends = "" if part.exact else f"   {part.low / GIB:.2f} to {part.high / GIB:.2f}"
    return f"{sign}{part.expected / GIB:6.2f}{ends}"


def _capacity(plan: Plan) -> list[str]:
    memory = plan.memory
    tokens, full = memory.capacity_tokens, memory.max_concurrency
    return [
        "KV CACHE OF ONE ENGINE",
        f"  bytes per token    = {memory.bytes_per_token:,};"
        f" {memory.bytes_per_token_per_gpu:,} on each GPU",
        f"  tokens             ~ {tokens.expected:,.0f}   {tokens.low:,.0f} to {tokens.high:,.0f}",
        f"  blocks             ~ {memory.expected.blocks:,} of {memory.expected.block_tokens}",
        f"  at max_model_len   ~ {full.expected:.2f} requests   {full.low:.2f} to {full.high:.2f}",
    ]


def _limits(plan: Plan) -> list[str]:
    """The limits side by side, and once more on the other link where nobody measured one."""
    lines = [
        "FOUR LIMITS, all engines together (< binds)",
        f"  {'':<9}{'at once':>8}{'req/s':>8}  note",
    ]
    for name in LIMITS:
        limit = plan.load.limits[name]
        binds = "<" if name == plan.load.binding else " "
        row = f"{binds} {name:<9}{_whole(limit.concurrency):>8}{_rate(limit.rate_per_s):>8}"
        lines.append(f"{row}  {limit.note}"[:_COLUMNS])
    lines.append(f"  sustained: {_sustained(plan.load)}; {plan.load.binding} binds")
    if plan.load.sustained.expected == 0 and not plan.misfit:
        lines += _wrapped("No request keeps this SLO: loosen it or choose another layout.")
    link = plan.question.other_link
    if link is not None and plan.other_link is not None:
        lines += _wrapped(
            f"Assumed: nobody has measured all-reduces between {plan.question.gpu.name}s. Above:"
            " the table of a PCIe 4 server with L40S. Behind one PCIe switch (assumed too):"
            f" {_sustained(plan.other_link)}; {plan.other_link.binding} binds."
        )
    return lines


def _sustained(load: Load) -> str:
    found = load.sustained
    return (
        f"{found.expected:.0f} at once ({found.low:.0f} to {found.high:.0f}),"
        f" {_rate(load.rate_per_s)} requests/s"
    )


def _context(plan: Plan) -> list[str]:
    """Concurrency over the length of a request."""
    rows = [
        f"  {tokens:>8}{_span(load.kv):>14}"
        + "".join(f"{_whole(load.limits[name].concurrency):>9}" for name in LIMITS[1:])
        + f"{load.sustained.expected:>11.0f}  {load.binding}"
        for tokens, load in over_context(plan)
    ]
    head = f"  {'tokens':>8}{'kv':>14}{'slots':>9}{'prefill':>9}{'decode':>9}{'sustained':>11}"
    return ["CONCURRENCY OVER CONTEXT LENGTH (prompt + answer)", head + "  binds", *rows]


def _span(value: Estimate) -> str:
    return f"{value.low:.0f}-{value.high:.0f}"


def _layouts(found: list[Layout], chosen: Layout | None) -> list[str]:
    lines = [
        "THE SAME GPUS IN OTHER WAYS (* best)",
        f"  {'layout':<14}{'weights':<9}{'KV tokens':>11}{'at once':>9}{'req/s':>8}  binds",
    ]
    for layout in found:
        if layout.plan is None or layout.misfit:
            row = f"{layout.name:<14}{layout.weights:<9}does not fit"
        else:
            load = layout.plan.load
            tokens = layout.plan.memory.capacity_tokens.expected * layout.replicas
            row = (
                f"{layout.name:<14}{layout.weights:<9}{tokens:>11,.0f}"
                f"{load.sustained.expected:>9.0f}{_rate(load.rate_per_s):>8}  {load.binding}"
            )
        lines.append(f"{'*' if layout is chosen else ' '} {row}")
    return [*lines, *_wrapped(reason(chosen, found) + "." if chosen else "Nothing fits.")]


def _rule(plan: Plan) -> list[str]:
    lines = ["THE RULE OF THUMB BESIDE THE MODEL", f"  {'':<21}{'rule':>8}{'model':>9}"]
    for line in rule_of_thumb(plan):
        what = f"{line.what} {line.unit}".strip()
        shown = f"{line.model:.1f}" if line.unit else f"{line.model:.0f}"
        lines.append(f"  {what:<21}{line.rule:>8.0f}{shown:>9}  {line.why}".rstrip())
    return lines


def _advice(chosen: Layout | None) -> list[str]:
    """Arguments for the best layout; nothing where nothing fits."""
    if chosen is None or chosen.plan is None:
        return []
    advice = advise(chosen.plan)
    engine = advice.plan.memory.engine
    return [
        f"RECOMMENDED: {chosen.name}, {chosen.weights}; {_sustained(advice.plan.load)}",
        f"  tensor_parallel_size: {engine.tp}",
        f"  gpu_memory_utilization: {engine.utilization_ratio:g}",
        f"  max_model_len: {engine.max_model_len}",
        f"  max_num_seqs: {advice.max_num_seqs}",
        f"  max_num_batched_tokens: {engine.max_batched_tokens}",
        f"  admission.ttft_deadline_s: {advice.settings.ttft_deadline_s:g}",
        f"  admission.prefill_backlog_max_tokens: {advice.settings.prefill_backlog_max_tokens}",
        *_wrapped(*advice.idle),
    ]


def _wrapped(*paragraphs: str) -> list[str]:
    return [
        line
        for paragraph in paragraphs
        for line in textwrap.wrap(paragraph, _COLUMNS, initial_indent="  ", subsequent_indent="  ")
    ]


def _whole(number: int | None) -> str:
    return "?" if number is None else str(number)


def _rate(number: float | None) -> str:
    return "?" if number is None else f"{number:.2f}"
