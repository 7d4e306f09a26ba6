"""Tokenizers: a byte-level BPE that is learned, or a pretrained one. Every text has tokens.

Source: merges of frequent neighbours, Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword
Units", section 3.2; over bytes, Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
section 2.2; the work is done by the library `tokenizers`.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tocsin.core.errors import InputError
from tocsin.features.hub import find_folder

PAD, HIDDEN, BREAK = range(3)
"""Token of the padding, of what is hidden from the model, and before a text."""
SPECIAL = ("<pad>", "<hidden>", "<break>")
LONGEST_WORD = 24
"""Characters that are cut as one word: longer runs, as of Thai, are cut every so often."""
MASKS = ("<hidden>", "<mask>", "[MASK]", "<|mask|>")
"""Names that tokenizers have for what is hidden."""
UNKNOWN = ("<unk>", "[UNK]")
TOKENIZER = "tokenizer.json"

LONE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""Kana and Han: a character is a word, and no spaces stand between."""


@dataclass(frozen=True)
class Words:
    """How a text is cut into words before their bytes are merged into tokens."""

    digits: str = r"\p{N}"
    """Class of characters, as in a regular expression, whose runs are numbers."""
    marks: str = ""
    """Characters that are a word each, such as one that stands for a link."""

    def pattern(self) -> str:
        """Return the regular expression of a word; what is no letter is a word with its repeats."""
        lone, marks = LONE.pattern.strip("[]"), re.escape(self.marks)
        letter = rf"[\p{{L}}\p{{M}}&&[^{lone}]]"
        first = rf"[{marks}]|" if marks else ""
        other = rf"([^\s\p{{L}}\p{{M}}{self.digits}{marks}])\1*"
        return rf"{first}[{lone}]| ?{self.digits}+| ?{letter}{{1,{LONGEST_WORD}}}|{other}"

    def idle_spaces(self) -> str:
        """Return the regular expression of spaces that tell nothing: not before letters and digits."""
        return rf" (?![\p{{L}}\p{{M}}{self.digits}])| (?=[{LONE.pattern.strip('[]')}])"


AS_WRITTEN = Words()


def learn_tokenizer(
    texts: Iterable[str], size: int, words: Words = AS_WRITTEN, min_count: int = 5
) -> Tokenizer:
    """Learn at most `size` tokens, 259 at least; the same texts give the same tokenizer."""
    found = Tokenizer(models.BPE())
    found.normalizer = normalizers.Prepend(" ")  # the first word is a word like any other
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words.idle_spaces()), "removed"),
            pre_tokenizers.Split(Regex(words.pattern()), "isolated"),
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


@dataclass(frozen=True)
class Frame:
    """The special tokens around texts that are read as one: ids before and behind each."""

    first: list[int]
    """Before the first text."""
    later: list[int]
    """Before each other one."""
    behind: list[int]

    def count(self, texts: int) -> int:
        """Return how many tokens frame so many texts."""
        return len(self.first) + (texts - 1) * len(self.later) + texts * len(self.behind)


def frame_of(tokenizer: Tokenizer) -> Frame:
    """Return what the tokenizer itself writes around one text, and between two.

    One that only opens a text, as those that are learned here do, opens each text.
    """
    single, pair = tokenizer.encode("").ids, tokenizer.encode("", "").ids
    first, behind = single[:1], single[1:]
    between = pair[len(first) : len(pair) - len(behind)]
    return Frame(first, between[len(behind) :] if behind else first, behind)


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
    """Return the ids that no text may hold: all that are special, but for what is unknown.

    A Unigram model, as XLM-R's, has their names among its pieces and so finds them in what somebody wrote.
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
    """Read `<hidden>` in a text as letters, not as the token: nobody must be able to write one."""
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
