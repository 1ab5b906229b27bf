"""From words to the token ids that a text tower was trained on: each model has its own tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from anatomy_clip.core.types import Texts

EXTRA = "biomedclip"  # of pyproject.toml
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
NO_WORD = -1  # of start, end and padding
_CACHED_TEXTS = 100_000


class Tokenizer(Protocol):
    """What a model's texts become; it can be pickled, so that workers may have it.

    Attributes:
        pad: id that fills rows up.
        size: number of ids.
    """

    pad: int
    size: int

    @property
    def encode(self) -> Callable[[str], tuple[int, ...]]:
        """From one text to its ids, start and end counted, never cut; known texts come from a cache."""
        ...

    @property
    def words(self) -> Callable[[str], tuple[int, ...]] | None:
        """From one text to the number of the word that each token is a part of, -1 for start and end.

        None where the tokenizer can't tell.
        """
        ...

    def length(self, row: Tensor) -> int:
        """Tokens of one row (L,) up to its end of text: what follows doesn't change the embedding."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain values that a checkpoint must carry for the tokenizer to be made again."""
        ...

    def files(self) -> dict[str, str]:
        """Name -> content of the files that must stand beside the weights for open_clip to find the tokenizer."""
        ...


@lru_cache(maxsize=1)
def _simple_tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


@lru_cache(maxsize=_CACHED_TEXTS)
def _clip_ids(text: str) -> tuple[int, ...]:
    clip = _simple_tokenizer()
    return (clip.sot_token_id, *clip.encode(text), clip.eot_token_id)


class ClipTokenizer:
    """CLIP's byte pairs, which open_clip carries; loaded with the first text (seconds).

    Padding has the id of a word, "!", so a row's end is told by its largest id, the end of text.
    """

    pad = 0
    size = 49_408
    words: Callable[[str], tuple[int, ...]] | None = None
    encode = staticmethod(_clip_ids)

    def length(self, row: Tensor) -> int:
        """See `Tokenizer`."""
        return int(row.argmax()) + 1

    def describe(self) -> dict[str, Any]:
        """Nothing: every model without a tokenizer of its own has this one."""
        return {}

    def files(self) -> dict[str, str]:
        """None: open_clip carries it."""
        return {}


CONTEXT_LENGTH = 77  # of CLIP
CLIP_TOKENIZER = ClipTokenizer()


class WordPieceTokenizer:
    """The word pieces of a BERT, after the same cleaning of the text that open_clip does.

    Args:
        program: content of a `tokenizer.json`: vocabulary, normalisation and special tokens.

    Raises:
        ValueError: it isn't one of word pieces with a padding token, or the extra isn't installed.
    """

    def __init__(self, program: str) -> None:
        need_transformers()
        from open_clip.tokenizer import get_clean_fn
        from tokenizers import Tokenizer as Backend

        kind = json.loads(program).get("model", {}).get("type")
        if kind != "WordPiece":
            raise ValueError(f"tokenizer.json: a tokenizer of kind {kind!r}; a BERT's has 'WordPiece'")
        self.program = program
        self._backend = Backend.from_str(program)
        self._backend.no_truncation()
        self._backend.no_padding()
        pad = self._backend.token_to_id("[PAD]")
        if pad is None:
            raise ValueError("tokenizer.json: has no token [PAD], which a BERT needs to find the end of a text")
        self.pad: int = pad
        self.size: int = self._backend.get_vocab_size()
        self._clean: Callable[[str], str] = get_clean_fn("whitespace")
        self.encode: Callable[[str], tuple[int, ...]] = lru_cache(maxsize=_CACHED_TEXTS)(self._ids)
        self.words: Callable[[str], tuple[int, ...]] | None = lru_cache(maxsize=_CACHED_TEXTS)(self._word_of_each)

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._backend.encode(self._clean(text)).ids)

    def _word_of_each(self, text: str) -> tuple[int, ...]:
        found = self._backend.encode(self._clean(text)).word_ids
        return tuple(NO_WORD if word is None else word for word in found)

    def __reduce__(self) -> tuple[type[WordPieceTokenizer], tuple[str]]:
        return WordPieceTokenizer, (self.program,)

    def length(self, row: Tensor) -> int:
        """See `Tokenizer`; no text has the padding's id in it."""
        return int((row != self.pad).sum())

    def describe(self) -> dict[str, Any]:
        """The whole of it."""
        return {"tokenizer": self.program}

    def files(self) -> dict[str, str]:
        """See `Tokenizer`."""
        special = {f"{name.lower()}_token": f"[{name}]" for name in ("UNK", "SEP", "PAD", "CLS", "MASK")}
        config = json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **special}, indent=2) + "\n"
        return {"tokenizer.json": self.program, "tokenizer_config.json": config}


def tokenize(
    texts: Sequence[str],
    context_length: int = CONTEXT_LENGTH,
    tokenizer: Tokenizer = CLIP_TOKENIZER,
    *,
    trim: bool = True,
) -> Tensor:
    """Turn texts into a model's tokens: start, words, end, padding.

    Args:
        texts: N texts.
        context_length: most tokens that the model's text tower takes, start and end counted.
        tokenizer: the model's own, `ImageTextModel.tokenizer`.
        trim: only as many columns as the longest text needs; else `context_length`.

    Returns:
        (N, L) int64.

    Raises:
        ValueError: a text is longer than the context; a caption is never cut.
    """
    encode = tokenizer.encode
    rows = [encode(text) for text in texts]
    for text, row in zip(texts, rows, strict=True):
        if len(row) > context_length:
            raise ValueError(
                f"caption of {len(row)} tokens is longer than the model's context of {context_length}: "
                f"{text!r}; shorten the templates or the caption: captions are never cut"
            )
    return _filled(rows, max(map(len, rows), default=0) if trim else context_length, tokenizer.pad)


def word_of_each(texts: Sequence[str], tokenizer: Tokenizer) -> Tensor | None:
    """The word that each token of texts is a part of.

    Args:
        texts: N texts.
        tokenizer: see `tokenize`.

    Returns:
        (N, L) int64 in the places of `tokenize`'s tokens, from 0 in each text; -1 for start, end and padding. None
        where the tokenizer can't tell.
    """
    if tokenizer.words is None:
        return None
    rows = [tokenizer.words(text) for text in texts]
    return _filled(rows, max(map(len, rows), default=0), NO_WORD)


def _filled(rows: Sequence[Sequence[int]], length: int, fill: int) -> Tensor:
    """Rows of ids as (N, length) int64."""
    filled = np.full((len(rows), length), fill, dtype=np.int64)  # ten times quicker than a tensor a row
    for n, row in enumerate(rows):
        filled[n, : len(row)] = row
    return torch.from_numpy(filled)


def tokenize_texts(texts: Sequence[str], context_length: int, tokenizer: Tokenizer) -> Texts:
    """Turn N texts, each of a sample of its own, into tokens with their mask and words; see `tokenize`."""
    ids = tokenize(texts, context_length, tokenizer)  # (N, L)
    lengths = torch.tensor([len(tokenizer.encode(text)) for text in texts])
    mask = torch.arange(ids.shape[1]) < lengths[:, None]  # (N, L)
    return Texts(ids, torch.arange(len(texts)), mask, word_of_each(texts, tokenizer))


def tokenize_classes(prompts: Sequence[Sequence[str]], context_length: int, tokenizer: Tokenizer) -> Texts:
    """Turn the prompts of K classes, P texts each, into tokens: all tensors (K, P, ...); see `tokenize`."""
    flat = tokenize_texts([text for texts in prompts for text in texts], context_length, tokenizer)
    return flat.each(lambda tensor: tensor.reshape(len(prompts), len(prompts[0]), *tensor.shape[1:]))


def read_word_pieces(folder: Path) -> WordPieceTokenizer:
    """Make the tokenizer whose files stand in a folder, whichever of their forms they have.

    Raises:
        ValueError: they aren't there or can't be read, or the extra isn't installed.
    """
    need_transformers()
    from transformers import AutoTokenizer

    wanted = "tokenizer.json, or vocab.txt with tokenizer_config.json"
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ValueError(f"{folder}: has no tokenizer of the text tower beside the weights; put {wanted} there")
    try:
        program = AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer.to_str()
    except (OSError, ValueError, KeyError, AttributeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{folder}: the tokenizer can't be read ({first}); these files are needed: {wanted}"
        ) from error
    return WordPieceTokenizer(program)


def need_transformers() -> None:
    """Refuse to go on without what a BERT needs.

    Raises:
        ValueError: names the extra.
    """
    try:
        import tokenizers  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"a BERT as text tower needs `transformers`, which isn't installed: pip install 'anatomy_clip[{EXTRA}]'"
        ) from error
