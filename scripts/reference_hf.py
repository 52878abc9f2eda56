#!/usr/bin/env python3
"""Answers token ids with the logits of a Hugging Face model: a reference command for `halfbyte verify`.

    halfbyte verify package --reference-command 'python scripts/reference_hf.py path/to/checkpoint'

halfbyte adds two paths: a safetensors file with token ids, and the file that this script writes. The protocol is
docs/reference-command.md. Needs torch, transformers and safetensors.
"""
import argparse
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the logits of a Hugging Face causal language model.")
    parser.add_argument("checkpoint", help="directory or name of the model")
    parser.add_argument("ids", help="safetensors file with the token ids")
    parser.add_argument("answer", help="safetensors file to write")
    parser.add_argument("--dtype", default="float32", help="what the model computes in; default: float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--top", type=int, default=0, help="keep so many logits of each position; default: all")
    parser.add_argument("--trust-remote-code", action="store_true")
    options = parser.parse_args()

    try:
        import torch
        from safetensors import safe_open
        from safetensors.torch import save_file
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        print(f"{error}: run `pip install torch transformers safetensors`", file=sys.stderr)
        return 1

    settings = {"trust_remote_code": options.trust_remote_code}
    dtype = getattr(torch, options.dtype)
    try:
        model = AutoModelForCausalLM.from_pretrained(options.checkpoint, dtype=dtype, **settings)
    except TypeError:
        # transformers before 4.56 calls it torch_dtype.
        model = AutoModelForCausalLM.from_pretrained(options.checkpoint, torch_dtype=dtype, **settings)
    model = model.to(options.device).eval()

    answer = {}
    with safe_open(options.ids, framework="pt") as asked, torch.inference_mode():
        for name in asked.keys():
            if not name.endswith("input_ids"):
                continue
            prefix = name[: -len("input_ids")]
            rows = asked.get_tensor(name)
            # One sequence at a time. Shorter ones are filled up behind their end, which a causal model does not see.
            parts = [reduce_row(model(input_ids=row[None].to(options.device), use_cache=False).logits[0], row, options.top)
                     for row in rows]
            for part in parts[0]:
                answer[prefix + part] = torch.stack([each[part] for each in parts]).contiguous()
            if options.top:
                answer[prefix + "vocabulary"] = torch.tensor([model.config.get_text_config().vocab_size])
    save_file(answer, options.answer)
    return 0


def reduce_row(logits, ids, top):
    """The tensors of one sequence: all its logits [length, vocabulary], or the best of each position."""
    import torch

    logits = logits.float().cpu()
    if not top:
        return {"logits": logits}
    best = logits.topk(min(top, logits.shape[-1]), dim=-1)
    following = torch.cat([ids[1:], ids[:1]])
    return {
        "top.ids": best.indices.to(torch.int32),
        "top.logits": best.values,
        "logsumexp": logits.double().logsumexp(-1).float(),
        "target.logits": logits.gather(-1, following[:, None])[:, 0],
    }


if __name__ == "__main__":
    sys.exit(main())
