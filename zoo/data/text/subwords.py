"""Text as ids of subwords and back: byte pair encoding, one vocabulary for all text.

By the package `tokenizers`. A tokenizer is one string of JSON, which models and runs
keep, so that a saved model translates by itself.
"""

import json
import os

from lng_keras._base.errors import UsageError
from lng_keras._base.extras import install

PAD, START, END, UNKNOWN = range(4)
_MARKS = ("<pad>", "<s>", "</s>", "<unk>")
_SPACE = "▁"  # begins a word, as SentencePiece writes it


class Subwords:
    """Encodes sentences as lists of ids, and decodes them.

    Args:
        text: JSON, as `learn` makes it and `text` holds it.
    Raises:
        UsageError: if it is something else.
        ImportError: if `tokenizers` is not installed.
    """

    def __init__(self, text):
        try:
            self._tokenizer = _package().Tokenizer.from_str(text)
            marks = [self._tokenizer.id_to_token(i) for i in range(len(_MARKS))]
        except ImportError:
            raise
        except Exception as error:  # the package raises plain Exception
            raise UsageError(
                f"the tokenizer cannot be read ({error}); take it from its run again"
            ) from error
        if tuple(marks) != _MARKS:
            raise UsageError(
                f"the tokenizer begins with {marks}, not with {list(_MARKS)}; give one "
                "that train.py made"
            )
        self.text = text

    def __len__(self):
        """How many ids there are."""
        return self._tokenizer.get_vocab_size()

    def encode(self, sentences):
        """Returns a list of ids for each sentence, without marks."""
        encoded = self._tokenizer.encode_batch(list(sentences))
        return [sentence.ids for sentence in encoded]

    def decode(self, sentences):
        """Returns the text of each list of ids; marks are left out, also unknown."""
        return self._tokenizer.decode_batch([list(ids) for ids in sentences])

    def unknown_letters(self, sentences):
        """Returns letter -> how often, for those that no subword has."""
        known = set("".join(self._tokenizer.get_vocab()))
        normalize = self._tokenizer.normalizer.normalize_str
        counts = {}
        for letter in normalize("".join(sentences)):
            if letter not in known and not letter.isspace():
                counts[letter] = counts.get(letter, 0) + 1
        return counts


def learn(sentences, vocabulary):
    """Returns the `Subwords` of a text: as many as `vocabulary`, or all it has.

    The same text and number give the same subwords, everywhere.

    Args:
        sentences: iterable of str, of all languages together, for training alone.
        vocabulary: int, ids at most, the four marks and all letters included.
    Raises:
        UsageError: if the letters alone are more.
        ImportError: if `tokenizers` is not installed.
    """
    package = _package()
    tokenizer = package.Tokenizer(package.models.BPE(unk_token=_MARKS[UNKNOWN]))
    tokenizer.normalizer = package.normalizers.NFKC()
    words = package.pre_tokenizers.Metaspace(_SPACE, prepend_scheme="always")
    marks = package.pre_tokenizers.Punctuation("isolated")
    tokenizer.pre_tokenizer = package.pre_tokenizers.Sequence([words, marks])
    tokenizer.decoder = package.decoders.Metaspace(_SPACE, prepend_scheme="always")
    trainer = package.trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(_MARKS), show_progress=False
    )
    tokenizer.train_from_iterator(sentences, trainer)
    if tokenizer.get_vocab_size() > vocabulary:
        raise UsageError(
            f"the text has {tokenizer.get_vocab_size() - len(_MARKS)} letters, which "
            f"do not fit into --vocabulary={vocabulary}; give more"
        )
    # Sorted, so that equal tokenizers are equal strings.
    text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False)
    return Subwords(text)


def _package():
    # Its threads and a forked process do not go together, which it warns of.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.normalizers
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise ImportError(
            f"Translation needs the package tokenizers: {install('translation')}"
        ) from error
    return tokenizers
