"""A small vocabulary of whole words, in place of the word pieces of a large one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from torch import Tensor

from anatomy_clip.core.refusals import Refused
from anatomy_clip.models.tokenizers import NO_WORD
from anatomy_clip.text.reports.words import split_words

PAD, START, END, UNKNOWN = range(4)
_SPECIAL = 4
_CACHED_TEXTS = 100_000


class WordTokenizer:
    """An id a word: 0 padding, 1 start, 2 end, 3 a word that the vocabulary lacks, then the vocabulary's in its order.

    Args:
        vocabulary: the words, in lower case, each once.
    """

    pad = PAD

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        self.size = _SPECIAL + len(self.vocabulary)
        self._ids = {word: n for n, word in enumerate(self.vocabulary, start=_SPECIAL)}
        self.encode: Callable[[str], tuple[int, ...]] = lru_cache(maxsize=_CACHED_TEXTS)(self._encode)

    def _encode(self, text: str) -> tuple[int, ...]:
        return (START, *(self._ids.get(word, UNKNOWN) for word in split_words(text)), END)

    def words(self, text: str) -> tuple[int, ...]:
        """Each token but start and end is a word."""
        return (NO_WORD, *range(len(self.encode(text)) - 2), NO_WORD)

    def __reduce__(self) -> tuple[type[WordTokenizer], tuple[tuple[str, ...]]]:
        return WordTokenizer, (self.vocabulary,)

    def length(self, row: Tensor) -> int:
        """See `Tokenizer`."""
        return int((row != PAD).sum())

    def describe(self) -> dict[str, Any]:
        """The vocabulary."""
        return {"vocabulary": list(self.vocabulary)}

    def files(self) -> dict[str, str]:
        """None.

        Raises:
            Refused: other libraries know neither this tokenizer nor its text tower.
        """
        raise Refused("a text tower of whole words can't be exported", "export a model with CLIP's text tower")
