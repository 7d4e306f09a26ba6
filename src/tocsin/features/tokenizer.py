"""A byte-level BPE tokenizer over folded text: every text has tokens and no text is unknown.

Source: merges of frequent neighbours, Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword
Units", section 3.2; over bytes, Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
section 2.2; the work is done by the library `tokenizers`.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tocsin.core.errors import InputError
from tocsin.features.folding import LONE, MARKS

PAD, HIDDEN, BREAK = range(3)
"""Token of the padding, of what is hidden from the model, and before a message."""
SPECIAL = ("<pad>", "<hidden>", "<break>")
LONGEST_WORD = 24
"""Characters that are cut as one word: longer runs, as of Thai, are cut every so often."""
MASKS = ("<hidden>", "<mask>", "[MASK]", "<|mask|>")
"""Names that tokenizers have for what is hidden."""
TOKENIZER = "tokenizer.json"

_LONE = LONE.pattern.strip("[]")
_LETTER = rf"[\p{{L}}\p{{M}}&&[^{_LONE}]]"
_WORDS = Regex(rf"[{MARKS}]|[{_LONE}]| ?0+| ?{_LETTER}{{1,{LONGEST_WORD}}}|([^\s\p{{L}}\p{{M}}0{MARKS}])\1*")
_IDLE_SPACES = Regex(rf" (?![\p{{L}}\p{{M}}0])| (?=[{_LONE}])")


def learn_tokenizer(texts: Iterable[str], size: int, min_count: int = 5) -> Tokenizer:
    """Learn at most `size` tokens, 259 at least, from folded texts; the same texts give the same tokenizer."""
    found = Tokenizer(models.BPE())
    found.normalizer = normalizers.Prepend(" ")  # the first word is a word like any other
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_IDLE_SPACES, "removed"),
            pre_tokenizers.Split(_WORDS, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator(texts, trainer)
    found.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[BREAK]} $A", special_tokens=[(SPECIAL[BREAK], BREAK)]
    )
    return _closed(found)


def parse_tokenizer(content: bytes, name: str = TOKENIZER) -> Tokenizer:
    """Read a tokenizer file; InputError names it if it is none. Nothing in it is run or fetched."""
    try:
        return _closed(Tokenizer.from_str(content.decode()))
    except Exception as error:  # noqa: BLE001 - the library raises Exception itself
        raise InputError(f"{name}: not a tokenizer: {str(error).splitlines()[0][:200]}") from None


def open_pretrained(where: str) -> Tokenizer:
    """Return the tokenizer of a folder, or else of a hub id, which is fetched; InputError where there is none."""
    if Path(where).is_dir():
        path = Path(where, TOKENIZER)
        if not path.is_file():
            raise InputError(f"{where}: the folder has no {TOKENIZER}")
        return parse_tokenizer(path.read_bytes(), str(path))
    try:
        return _closed(Tokenizer.from_pretrained(where))
    except Exception as error:  # noqa: BLE001 - whatever the network and the hub answer
        why = str(error).splitlines()[0][:200]
        raise InputError(f"{where!r} is no folder, and the hub gives no {TOKENIZER} of it: {why}") from None


def mask_of(tokenizer: Tokenizer) -> int:
    """Return the id that stands for what is hidden; InputError tells what was looked for."""
    for name in MASKS:
        if (token := tokenizer.token_to_id(name)) is not None:
            return token
    raise InputError(f"the tokenizer has no token for what is hidden: none of {', '.join(MASKS)}")


def write_tokenizer(tokenizer: Tokenizer) -> bytes:
    """Return the tokenizer as JSON."""
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False).encode() + b"\n"


def _closed(tokenizer: Tokenizer) -> Tokenizer:
    """Read `<hidden>` in a message as letters, not as the token: a sender must not be able to write one."""
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
