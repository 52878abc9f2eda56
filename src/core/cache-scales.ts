/**
 * Scales of a quantized key-value cache, as llm-compressor (`self_attn.k_scale`), modelopt (`self_attn.k_proj.k_scale`),
 * AutoFP8 (`self_attn.kv_scale`) and compressed-tensors before 0.9 (`k_proj.output_scale`) store them. They concern the
 * cache of the engine that reads them, no weight.
 */
const CACHE_SCALE =
  /(\.(q|k|v|kv|prob|attn_output)_(scale|zero_point)|\.(q|k|v)_proj\.output_(scale|zero_point)|\.(k|v)_bmm_quantizer\.\w+)$/;

/** Whether a stored tensor is a scale of a key-value cache, by its name. */
export const isCacheScale = (name: string): boolean => CACHE_SCALE.test(name);
