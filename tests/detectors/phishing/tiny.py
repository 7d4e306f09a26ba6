"""Encoders as the hub has them, but tiny: random weights, and a tokenizer learned from a few words."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

KINDS = ("bert", "xlm-roberta", "distilbert")
PLACES, WIDTH = 64, 32
WORDS = [
    "please", "verify", "your", "account", "dinner", "tonight", "password", "срочно", "подтвердите", "пароль",
    "tafadhali", "thibitisha", "您的账户", "已被锁定", "the", "meeting", "is", "at", "noon", "offer",
]  # fmt: skip
TEXTS = [" ".join(WORDS[(i * j) % 20] for j in range(1, 12)) + f" {i}!" for i in range(200)]


def make_tiny(folder: Path, kind: str, texts: list[str] = TEXTS, **settings: int) -> Path:
    """Write config.json, model.safetensors and tokenizer.json; `settings` change the model's."""
    from transformers import AutoModel

    tokenizer = (learn_unigram if kind == "xlm-roberta" else learn_wordpiece)(texts)
    torch.manual_seed(0)
    AutoModel.from_config(config_of(kind, tokenizer.get_vocab_size(), **settings)).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def config_of(kind: str, vocabulary: int, **settings: int) -> Any:
    from transformers import AutoConfig

    size = {
        "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        # RoBERTa counts places from behind the number of its padding.
        "max_position_embeddings": PLACES + (2 if kind == "xlm-roberta" else 0),
    }  # fmt: skip
    if kind == "distilbert":
        size = {
            "dim": WIDTH,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 64,
            "max_position_embeddings": PLACES,
        }
    return AutoConfig.for_model(kind, **{"vocab_size": vocabulary, **size, **settings})


def learn_wordpiece(texts: list[str]) -> Tokenizer:
    """Return what BERT has: pieces inside a word begin with ##."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    found = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(lowercase=False)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.decoder = decoders.WordPiece()
    found.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    )
    return framed(found, "[CLS]", "[SEP]")


def learn_unigram(texts: list[str]) -> Tokenizer:
    """Return what XLM-R has: number 0 begins a text, number 1 is the padding."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    found = Tokenizer(models.Unigram())
    found.normalizer = normalizers.NFKC()
    found.pre_tokenizer = pre_tokenizers.Metaspace()
    found.decoder = decoders.Metaspace()
    found.train_from_iterator(
        texts,
        trainers.UnigramTrainer(
            vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    return framed(found, "<s>", "</s>")


def framed(tokenizer: Tokenizer, start: str, end: str) -> Tokenizer:
    names = [(name, tokenizer.token_to_id(name)) for name in (start, end)]
    tokenizer.post_processor = processors.TemplateProcessing(f"{start} $A {end}", special_tokens=names)
    return tokenizer
