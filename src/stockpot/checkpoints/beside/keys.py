"""What the keys of a configuration are about: the network's meaning, or nothing of the network."""

_ACTIVATIONS = """
    hidden_act hidden_activation activation_function dense_act_fn act_fn activation afn
    mlp_hidden_act feed_forward_proj ffn_act_fn
"""
ACTIVATIONS = frozenset(_ACTIVATIONS.split())
"""Keys that name the function between two layers."""

_MEANING = """
    model_type _class_name architecture
    num_attention_heads num_key_value_heads head_dim n_head n_heads num_heads n_kv_heads
    num_kv_heads n_head_kv kv_channels encoder_attention_heads decoder_attention_heads
    attention_head_dim qk_rope_head_dim qk_nope_head_dim v_head_dim multi_query
    multi_query_attention multi_query_group_num new_decoder_architecture
    parallel_attn use_parallel_residual partial_rotary_factor rotary_dim rope_interleave
    rope_interleaved alibi use_alibi position_embedding_type
    num_hidden_layers n_layer num_layers is_decoder is_gated_act
    apply_residual_connection_post_layernorm do_layer_norm_before scale_embedding
    id2label num_labels patch_size
"""
MEANING = frozenset(_MEANING.split()) | ACTIVATIONS
"""Keys that say what rows, heads, classes and layers are, and what is computed between them."""

_SILENT = """
    transformers_version _diffusers_version _commit_hash unsloth_version unsloth_fixed
    _unsloth_optimized _name_or_path name_or_path _from_model_config force_download finetuning_task
    torch_dtype dtype use_bfloat16 torchscript quantization_config compression_config
    use_cache cache_implementation attn_implementation _attn_implementation
    _attn_implementation_autoset _flash_attn_2_enabled use_flash_attn gradient_checkpointing
    output_attentions output_hidden_states output_router_logits return_dict use_return_dict
    chunk_size_feed_forward initializer_range initializer_factor init_std pretraining_tp
    router_aux_loss_coef router_jitter_noise problem_type
    architectures auto_map tokenizer_class is_encoder_decoder tie_encoder_decoder
    vocab_size label2id task_specific_params max_length
    mlp_bias attention_bias use_bias qkv_bias bias
"""
SILENT = frozenset(_SILENT.split())
"""Keys of versions, paths, training and running; and of what tensors or files say themselves."""
