#!/usr/bin/env python3
"""Times `generate` of transformers on the prompts of a task file, beside `rlvr bench decode`.

    pip install torch==2.11.0 transformers
    python scripts/transformers_generate.py --model DIR --tasks FILE --prompts 32 --group-size 8 --new-tokens 256 \
        --device cuda --dtype bfloat16

Every completion gets exactly NEW tokens at temperature 1, all of them in one batch. Prints a JSON object a round, the first
of which warms up.
"""

import argparse
import itertools
import json
import time

import torch
import transformers


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a Hugging Face folder")
    parser.add_argument("--tasks", required=True, help="a task file, JSON lines with `prompt`")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--repeat", type=int, default=3)
    return parser.parse_args()


def prompts(path, tokenizer, n):
    """The first `n` prompts as the model's chat template puts them."""
    with open(path, encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in itertools.islice(lines, n)]
    if len(tasks) < n:
        raise SystemExit(f"{path} has {len(tasks)} tasks, but {n} prompts are asked for; lower --prompts")
    messages = [task["prompt"] for task in tasks]
    messages = [[{"role": "user", "content": m}] if isinstance(m, str) else m for m in messages]
    return [tokenizer.apply_chat_template(m, add_generation_prompt=True, tokenize=False) for m in messages]


def main():
    args = arguments()
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
    model = model.eval().to(args.device)
    texts = [text for text in prompts(args.tasks, tokenizer, args.prompts) for _ in range(args.group_size)]
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(args.device)
    n_tokens = len(texts) * args.new_tokens
    length = {"max_new_tokens": args.new_tokens, "min_new_tokens": args.new_tokens}
    for _ in range(args.repeat):
        start = time.perf_counter()
        with torch.inference_mode():
            model.generate(**batch, **length, do_sample=True, temperature=1.0, top_k=0, top_p=1.0)
        if args.device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "tokens": n_tokens, "tokens_per_s": n_tokens / seconds}), flush=True)


if __name__ == "__main__":
    main()
