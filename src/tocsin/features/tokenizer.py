"""A byte-level BPE tokenizer over folded text: every text has tokens and no text is unknown.

Source: merges of frequent neighbours, Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword
Units", section 3.2; over bytes, Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
section 2.2; the work is done by the library `tokenizers`.
"""

import json
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tocsin.core.errors import InputError
from tocsin.features.folding import LONE, MARKS
from tocsin.features.hub import find_folder

PAD, HIDDEN, BREAK = range(3)
"""Token of the padding, of what is hidden from the model, and before a message."""
SPECIAL = ("<pad>", "<hidden>", "<break>")
LONGEST_WORD = 24
"""Characters that are cut as one word: longer runs, as of Thai, are cut every so often."""
MASKS = ("<hidden>", "<mask>", "[MASK]", "<|mask|>")
"""Names that tokenizers have for what is hidden."""
UNKNOWN = ("<unk>", "[UNK]")
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
    """Return the tokenizer of a folder, or else of a hub id; InputError where there is none that fits."""
    path = find_folder(where, [TOKENIZER]) / TOKENIZER
    if not path.is_file():
        raise InputError(f"{where}: there is no {TOKENIZER} in it")
    found = parse_tokenizer(path.read_bytes(), str(path))
    frame = found.encode("").ids
    if len(frame) != 2 or 0 in (frame[1], mask_of(found, where)):  # 0 is what stands behind the end of a row
        raise InputError(f"{where}: its tokenizer does not close a text, as those of encoders do")
    return found


def count_tokens(tokenizer: Tokenizer) -> int:
    """Return the highest id and one: a pretrained tokenizer may leave ids out."""
    return 1 + max(tokenizer.get_vocab().values())


def mask_of(tokenizer: Tokenizer, name: str = TOKENIZER) -> int:
    """Return the id that stands for what is hidden; InputError tells what was looked for."""
    for mask in MASKS:
        if (token := tokenizer.token_to_id(mask)) is not None:
            return token
    raise InputError(f"{name}: its tokenizer has no token for what is hidden: none of {', '.join(MASKS)}")


def special_tokens(tokenizer: Tokenizer) -> frozenset[int]:
    """Return the ids that no message may hold: all that are special, but for what is unknown.

    A Unigram model, as XLM-R's, has their names among its pieces and so finds them in what a sender wrote.
    """
    added = tokenizer.get_added_tokens_decoder()
    return frozenset(i for i, token in added.items() if token.special and token.content not in UNKNOWN)


def pieces_of(tokenizer: Tokenizer) -> list[int]:
    """Return the ids of single bytes, or letters, and of what is unknown: what words that are new fall into."""
    names = tokenizer.get_vocab()
    return sorted(token for name, token in names.items() if len(name) == 1 or name in UNKNOWN)


def write_tokenizer(tokenizer: Tokenizer) -> bytes:
    """Return the tokenizer as JSON."""
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False).encode() + b"\n"


def _closed(tokenizer: Tokenizer) -> Tokenizer:
    """Read `<hidden>` in a message as letters, not as the token: a sender must not be able to write one."""
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
