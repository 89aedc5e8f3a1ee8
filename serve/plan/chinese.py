"""The words of a plan in Chinese, for the people who run the engine."""

SENTENCES = {
    "kv_note": "{blocks} 个 KV 块，每个请求平均 {tokens} token",
    "slots_note": "max_num_seqs",
    "no_ttft_note": "未给出 TTFT 上限",
    "speed_unknown_note": "不知道这种卡的速度",
    "prefill_note": "单个提示词预填充需 {seconds:.2f} 秒",
    "decode_note": "TPOT {tpot_ms:.0f} ms；带预填充的一步 {step_ms:.0f} ms",
    "misfit_memory": "每张 GPU 上，权重与运行所需显存比 gpu_memory_utilization"
    " {utilization:g} 允许的 {reserved_gib:.2f} GiB 多出 {over_gib:.2f} GiB",
    "misfit_length": "一个 max_model_len {length} 的请求每张 GPU 需要 {needed_gib:.2f} GiB 的 KV"
    " 缓存，可用的只有 {kv_gib:.2f} GiB",
    "misfit_context": "max_model_len {length} 超过模型支持的 {context} token，vLLM 会拒绝启动",
    "misfit_workload": "{tokens} token 的请求超过 max_model_len {length}",
    "nearest_length": "max_model_len {length}",
    "nearest_split": "tensor_parallel_size {tp}",
    "nearest_format": "tensor_parallel_size {tp}，权重 {weights}",
    "nearest_cards": "{gpus} x {gpu}，{split}",
    "nearest_none": "附近没有可行的方案：换更小的模型，或显存更大的卡",
    "reason_alone": "{name} 可同时承载 {requests:.0f} 个请求，瓶颈：{binding}；"
    "更窄的切分在 SLO 内都不会更多",
    "reason_narrow": "{name} 可同时承载 {requests:.0f} 个请求（瓶颈：{binding}），{other} 为"
    " {other_requests:.0f} 个（{other_binding}）：张量并行越宽，显存越多（KV 缓存"
    " {other_tokens:,.0f} 对 {tokens:,.0f} token），代价是 all-reduce 通信",
    "reason_narrow_assumed": "{name} 可同时承载 {requests:.0f} 个请求（瓶颈：{binding}），{other}"
    " 为 {other_requests:.0f} 个（{other_binding}）：张量并行越宽，显存越多（KV 缓存"
    " {other_tokens:,.0f} 对 {tokens:,.0f} token），代价是 all-reduce 通信，"
    "而这条链路没有人实测过",
    "rule_memory": "显存总量",
    "rule_memory_why": "torch 实际看到的",
    "rule_weights": "权重",
    "rule_weights_why": "含所有副本",
    "rule_kept": "预留",
    "rule_kept_why": "激活值、CUDA 图、NCCL、上下文",
    "rule_left": "留给 KV",
    "rule_request": "每个请求",
    "rule_request_why": "{tokens} token x 每 token 的 KV 字节数",
    "rule_by_kv": "并发，只看 KV",
    "rule_by_kv_why": "同样长度",
    "rule_in_slo": "并发，满足 SLO",
    "rule_in_slo_why": "本负载；瓶颈：{binding}",
    "source_chat": "ShareGPT 提示词，由 Qwen3-32B 回答，取均值",
    "source_rag": "假设：约八段 500 token 的资料，回答较短",
    "source_long_context": "Mooncake 对话 trace，取均值，不计前缀缓存",
    "source_code": "Azure 2023 代码补全 trace，取均值",
    "source_flags": "--isl、--osl",
    "source_trace": "{file} 中的 {requests:,} 个请求；输入 p50 {isl_p50:,}、p90 {isl_p90:,}、"
    "p99 {isl_p99:,}，输出 p50 {osl_p50:,}、p90 {osl_p90:,}、p99 {osl_p99:,}",
    "not_understood": "config.json 中未能识别、未计入的键：{keys}",
    "not_counted": "未计入：{what}",
    "bits_guessed": "{name} 没有说明位数，按 8 位计算；请用 --weight-bits 指明",
    "too_long": "trace 中 {share:.1%} 的请求超过 max_model_len {length}：它们会被拒绝，这里不计入",
    "offered_more": "trace 的到达率为每秒 {offered:.2f} 个请求，高于可持续的 {sustained:.2f} 个",
    "step_even": "满载的一步（{step} token）耗时 {step_ms:.0f} ms：即使旁边在计算长提示词，"
    "每个 token 也都在 TPOT 上限之内",
    "step_uneven": "满载的一步（{step} token）耗时 {step_ms:.0f} ms，旁边有长提示词时每个 token"
    " 都要等这么久；max_num_batched_tokens 设为 {even} 时为 {even_ms:.0f} ms，"
    "每秒可承载 {even_rate:.2f} 个请求，而不是 {rate:.2f} 个",
    "idle_headroom": "kv_headroom_ratio 不起作用：{slots} 个槽位 x {tokens:,} token 只占缓存的"
    " {share:.0%}",
    "idle_slots_kv": "max_num_seqs {slots} 永远达不到：缓存只能容纳 {held:,} 个 {tokens:,} token"
    " 的请求",
    "idle_slots_static": "max_num_seqs {slots} 永远达不到：static 策略只放行 {limit} 个",
    "idle_step": "max_num_batched_tokens {step} 永远填不满：{slots} 个槽位加上"
    " {backlog:,} token 的预填充积压，最多 {most:,}",
    "idle_model_len": "max_model_len {length} 永远用不到：单个请求最多占缓存的 {usable:,} token",
    "idle_model_len_trace": "max_model_len {length} 永远用不到：trace 中最长的请求只有"
    " {longest:,} token",
    "idle_backlog": "prefill_backlog_max_tokens {backlog:,} 永远达不到：{slots} 个槽位 x 每个"
    " {prompt:,} token 的提示词，共 {most:,}",
    "idle_line_tokens": "line.max_tokens {bound} 永远达不到：{requests:,} 个等待中的请求 x 每个"
    " {tokens:,} token，共 {most:,}",
    "idle_line_requests": "line.max_requests {bound} 永远达不到：line.max_tokens {tokens:,} 只够"
    " {most:,} 个 {each:,} token 的请求",
    "idle_line_deadline": "line.max_requests {bound} 永远达不到：每秒 {rate:.2f} 个请求时，"
    "{deadline:g} 秒内只能开始 {most:,} 个，要等更久的会立即被拒绝",
    "idle_line_none": "line.max_requests {bound} 永远达不到：line.max_tokens 为 0，不允许排队",
    "idle_static_unused": "static.limit {limit} 不会被读取：当前策略是 {policy}",
    "idle_static_high": "static.limit {limit} 永远达不到：max_num_seqs 为 {slots}",
    "idle_under_static": "{setting} 不会被读取：static 策略只数名额，不数 token",
    "idle_worst_case": "{setting} 不会被读取：worst_case 策略直接取 max_tokens",
    "idle_mode": "mode 为 {mode}：其余各项都不会拦下任何请求",
}

LABELS = {
    "language": "中文",
    "gap": "",  # between sentences
    "title": "容量规划：{gpus} x {gpu} 运行 {model}",
    "verdict": "{gpus} x {gpu} 按 {layout}、{weights} 部署，可同时承载 {requests:.0f} 个本负载的"
    "请求（{low:.0f} 至 {high:.0f}），每秒 {rate} 个；瓶颈：{binding}。",
    "verdict_none": "{gpus} x {gpu} 按 {layout}、{weights} 部署，对本负载没有任何请求能满足此 SLO"
    "（并发 0 至 {high:.0f}）；瓶颈：{binding}。",
    "verdict_misfit": "无法部署：{misfit}。最接近的可行方案：{nearest}。",
    "misfit_line": "无法部署：{misfit}；最接近的可行方案：{nearest}",
    "verdict_better": "同样的卡改为 {layout}、{weights}，可承载 {requests:.0f} 个，"
    "每秒 {rate} 个。",
    "title_asked": "问题与前提",
    "engines": "{gpus} x {gpu}：{replicas} 个引擎，TP {tp} PP {pp}，权重 {weights}，vLLM {version}",
    "arguments": "max_model_len {length}，max_num_seqs {slots}，max_num_batched_tokens {step}",
    "workload": "负载 {name}：输入 {isl} token，输出 {osl} token，不计前缀缓存",
    "source": "（{text}）",
    "offered": "到达率：平均每秒 {rate:.2f} 个请求",
    "slo": "SLO {slo}",
    "slo_none": "无",
    "warning": "警告：{text}",
    "title_warnings": "警告",
    "title_memory": "单张 GPU 的显存",
    "unit_memory": "（GiB；= 精确，~ 估计）",
    "part_weights": "权重",
    "part_activation": "激活值",
    "part_graphs": "CUDA 图",
    "part_non_torch": "torch 之外",
    "part_kv": "KV 缓存",
    "part_outside": "预算之外",
    "part_card": "整张卡",
    "range": "{low} 至 {high}",
    "ranged": "{expected}（{low} 至 {high}）",
    "exactly": "{value}（精确）",
    "memory_caption": "一张卡的显存去向。实心部分为精确值，斜线部分为估计值，条形下方的线段是"
    "各自的范围。“预算之外”是 gpu_memory_utilization 留给 CUDA 上下文、NCCL 和 CUDA 图的部分。",
    "title_capacity": "单个引擎的 KV 缓存",
    "bytes_per_token": "每 token 字节",
    "bytes_each": "{all:,}；每张 GPU {each:,}",
    "tokens": "token 数",
    "blocks": "块数",
    "blocks_of": "{blocks:,} 块，每块 {size} token",
    "at_max_model_len": "max_model_len 时",
    "requests_range": "{expected:.2f} 个请求（{low:.2f} 至 {high:.2f}）",
    "title_limits": "四个上限",
    "unit_limits": "，所有引擎合计（< 为瓶颈）",
    "limit_kv": "KV 缓存",
    "limit_slots": "并发槽位",
    "limit_prefill": "预填充",
    "limit_decode": "解码",
    "limit": "上限",
    "at_once": "并发",
    "per_s": "请求/秒",
    "note": "依据",
    "binds": "瓶颈",
    "sustained": "可持续",
    "sustained_line": "可持续：{load}；瓶颈：{binding}",
    "load": "并发 {expected:.0f}（{low:.0f} 至 {high:.0f}），每秒 {rate} 个请求",
    "no_request": "没有请求能满足此 SLO：请放宽 SLO，或换一种部署方式。",
    "other_link": "假设：没有人实测过 {gpu} 之间的 all-reduce。以上取自一台装 L40S 的 PCIe 4"
    " 服务器。若都在同一个 PCIe 交换芯片之下（同为假设）：{load}；瓶颈：{binding}。",
    "limits_caption": "每个上限允许的并发请求数，最小者为瓶颈。线段是 KV 估计值的范围。",
    "with_rate": "{requests}（每秒 {rate}）",
    "requests_axis": "并发请求数",
    "title_context": "并发随上下文长度的变化",
    "unit_context": "（输入 + 输出）",
    "context_caption": "请求越长，各上限允许的并发越少（输出长度与负载相同）。粗线是可持续的并发，"
    "颜色表示当时的瓶颈；圆点是本负载。",
    "context_tokens": "token",
    "context_axis": "单个请求的 token 数（输入 + 输出）",
    "this_workload": "本负载",
    "sustained_switched": "可持续（同一交换芯片）",
    "switched_caption": "虚线：若所有卡都在同一个 PCIe 交换芯片之下（假设）的可持续并发。",
    "title_layouts": "同样的 GPU，其他部署方式",
    "unit_layouts": "（* 最佳）",
    "layout": "部署方式",
    "weights": "权重",
    "kv_tokens": "KV token",
    "misfit": "无法部署",
    "best": "最佳",
    "nothing_fits": "没有可行的方案。",
    "sentence": "{text}。",
    "title_rule": "经验估算与模型对照",
    "rule": "经验",
    "model": "模型",
    "error": "偏差",
    "line": "项目",
    "why": "说明",
    "rule_sum": "经验估算给出 {rule:.0f}。只看缓存，可容纳 {by_kv:.0f} 个 {tokens} token 的请求；"
    "而本负载在 SLO 内只能承载 {sustained:.0f} 个，因为先到上限的是{binding}，"
    "经验估算不考虑这一点。",
    "rule_sum_kv": "经验估算给出 {rule:.0f}。只看缓存，可容纳 {by_kv:.0f} 个 {tokens} token 的"
    "请求；本负载可承载 {sustained:.0f} 个，瓶颈确实是 KV 缓存。",
    "title_advice": "推荐配置",
    "titled": "{title}：{text}",
    "advice": "{layout}，{weights}；{load}",
    "setting": "设置项",
    "value": "取值",
    "title_idle": "不起作用的设置",
    "unit_idle": "（就本负载而言）",
    "idle_none": "未发现",
    "footer": "vLLM 能精确计算的部分这里也是精确的；每步耗时是先验估计，尚未在这些卡上实测。"
    "本页读法见 docs/plan.md。",
}
