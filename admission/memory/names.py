"""What keys of a config.json are called: one name for each thing, and how else families spell it.

Sources: the attributes that vLLM's `model_arch_config_convertor` and model files read, and the
`attribute_map` of transformers' configuration classes.
"""

# Our name (Hugging Face's most common) -> other spellings, in the order in which they are tried.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers", "num_transformer_layers"),
    "hidden_size": ("n_embd", "d_model", "model_dim"),
    "num_attention_heads": (
        "n_head",
        "n_heads",
        "num_heads",
        "num_query_heads",
        "attention_heads",
    ),
    "num_key_value_heads": (
        "n_head_kv",
        "num_kv_heads",
        "kv_n_heads",
        "n_kv_heads",
        "n_kv_head",
        "num_query_groups",
        "num_attention_groups",
    ),
    "head_dim": ("attention_head_dim", "hidden_size_per_head", "kv_channels", "head_size"),
    "intermediate_size": (
        "ffn_hidden_size",
        "n_inner",
        "ffn_dim",
        "d_ff",
        "inner_hidden_size",
        "block_ff_dim",
        "dense_intermediate_size",
    ),
    "vocab_size": ("padded_vocab_size", "n_vocab"),
    "sliding_window": ("sliding_window_size", "attention_window_size"),
    "num_experts": (
        "n_routed_experts",
        "num_local_experts",
        "moe_num_experts",
        "num_routed_experts",
    ),
    "num_experts_per_tok": (
        "num_experts_per_token",
        "experts_per_token",
        "top_k_experts",
        "moe_topk",
        "moe_top_k",
        "moe_k",
        "num_selects",
    ),
    "moe_intermediate_size": ("expert_ffn_hidden_size", "moe_ffn_hidden_size"),
    "shared_expert_intermediate_size": ("shared_intermediate_size", "share_expert_dim"),
    "num_shared_experts": ("n_shared_experts", "num_shared_expert", "moe_num_shared_experts"),
    "first_k_dense_replace": ("num_dense_layers",),
    "decoder_sparse_step": ("interleave_moe_layer_step", "moe_layer_interval"),
    "layer_types": ("layers_block_type", "hybrid_override_pattern", "attn_type_list"),
    "sliding_window_pattern": ("global_attn_every_n_layers",),
    "mamba_n_heads": ("mamba_num_heads",),
    "mamba_d_head": ("mamba_head_dim",),
    "mamba_d_state": ("ssm_state_size", "state_size"),
    "mamba_n_groups": ("n_groups", "mamba_ngroups"),
    "mamba_d_conv": ("conv_kernel",),
    "attention_bias": ("qkv_bias", "use_qkv_bias", "add_qkv_bias", "attention_qkv_bias"),
    "torch_dtype": ("dtype",),
}

# Lengths are another matter: vLLM takes the least of those that are stated.
LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)

# Read under their own name alone.
PLAIN = frozenset(
    {
        "activation_function",
        "attention_chunk_size",
        "attention_k_eq_v",
        "attention_other_setting",
        "attn_config",
        "attn_layer_offset",
        "attn_layer_period",
        "attn_output_gate",
        "attn_type",
        "block_auto_adjust_ff_dim",
        "block_configs",
        "block_ffn_dim_multiplier",
        "block_multiple_of",
        "chunked_attention_pattern",
        "conv_L_cache",
        "cross_attention_layers",
        "enable_moe_block",
        "expansion_ratio",
        "expert_layer_offset",
        "expert_layer_period",
        "ffn_config",
        "ffn_dim_divisor",
        "ffn_multipliers",
        "full_attention_interval",
        "full_attn_idxs",
        "global_head_dim",
        "hybrid_layer_pattern",
        "index_head_dim",
        "index_n_heads",
        "index_topk",
        "intermediate_size_mlp",
        "kv_lora_rank",
        "linear_attn_config",
        "linear_conv_kernel_dim",
        "linear_key_head_dim",
        "linear_num_key_heads",
        "linear_num_value_heads",
        "linear_value_head_dim",
        "mamba_dt_rank",
        "mamba_expand",
        "mamba_ssm_cache_dtype",
        "mamba_ssm_dtype",
        "max_window_layers",
        "mlp_layer_types",
        "mlp_matrices",
        "mlp_only_layers",
        "moe_latent_size",
        "moe_layer_end_index",
        "moe_layer_freq",
        "moe_layer_start_index",
        "moe_layers",
        "moe_layers_enum",
        "moe_shared_expert_intermediate_size",
        "multi_query",
        "multi_query_attention",
        "multi_query_group_num",
        "new_decoder_architecture",
        "num_attention_heads_per_layer",
        "num_global_key_value_heads",
        "num_kv_shared_layers",
        "original_max_position_embeddings",
        "q_lora_rank",
        "qk_nope_head_dim",
        "qk_rope_head_dim",
        "rope_parameters",
        "rope_scaling",
        "swa_head_dim",
        "swa_num_attention_heads",
        "swa_num_key_value_heads",
        "swa_v_head_dim",
        "tie_word_embeddings",
        "use_sliding_window",
        "v_head_dim",
    }
)

NAMES = frozenset(SPELLINGS) | frozenset(LENGTHS) | PLAIN


def spellings(name: str) -> tuple[str, ...]:
    """`name` itself, then its other spellings; KeyError for a name that stands in no table here."""
    if name not in NAMES:
        raise KeyError(name)
    return (name, *SPELLINGS.get(name, ()))
