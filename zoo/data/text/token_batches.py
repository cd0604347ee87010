"""Batches of about as many subwords each, as a pure function of (seed, epoch, number).

Pairs of like length go together, so that little is filled up. Few lengths exist, since
each is compiled once.
"""

import numpy as np

from zoo.data.batches import MadeAhead

LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_ORDER = 0  # the stream of random numbers, as in zoo/data/batches.py


class TokenBatches(MadeAhead):
    """Training batches `((source, target), following)`, see `Pairs.padded`.

    A batch of length l has `batch_tokens // l` pairs, and at least one. Where those of
    a length do not fill their last batch, shorter ones do; of the shortest, those
    beyond the last whole batch are left out of that epoch.

    Args:
        pairs: `zoo.data.text.translation.Pairs`.
        batch_tokens: int, subwords of a batch on either side, padding included.
        seed: int.
        epoch: int, from 0.
        first_batch: int, where a resumed epoch begins.
    """

    def __init__(self, pairs, batch_tokens, seed, epoch, first_batch=0):
        super().__init__()
        self.pairs, self.first_batch = pairs, first_batch
        rng = np.random.default_rng([seed, epoch, _ORDER])
        order = rng.permutation(len(pairs))
        batches = _batches(order, _rung(pairs.lengths[order]), batch_tokens)
        self._batches = [batches[i] for i in rng.permutation(len(batches))]

    def __len__(self):
        return len(self._batches) - self.first_batch

    def make(self, i):
        source, target, following = self.pairs.padded(
            *self._batches[self.first_batch + i]
        )
        return (source, target), following


def steps(pairs, batch_tokens):
    """Returns how many batches an epoch has: as many in every one."""
    rungs = _rung(pairs.lengths)
    return len(_batches(np.arange(len(rungs)), rungs, batch_tokens))


def in_order(pairs, batch_tokens):
    """Returns batches that cover all pairs once, the short ones first.

    Returns:
        A list of `(indices, length)`.
    """
    rungs, batches = _rung(pairs.lengths), []
    for rung in np.unique(rungs):
        indices, size = np.flatnonzero(rungs == rung), max(1, batch_tokens // rung)
        batches += [
            (indices[i : i + size], int(rung)) for i in range(0, len(indices), size)
        ]
    return batches


def _rung(lengths):
    """Returns the smallest of `LENGTHS` for each length."""
    return np.array(LENGTHS)[np.searchsorted(LENGTHS, lengths)]


def _batches(order, rungs, batch_tokens):
    """Returns whole batches `(indices, length)` of pairs given in an order.

    Their number depends on how many pairs there are of each rung, not on the order.
    """
    longest_first = np.argsort(-rungs, kind="stable")
    order, rungs = order[longest_first], rungs[longest_first]
    batches, first = [], 0
    while first < len(order):
        length = int(rungs[first])
        last = first + max(1, batch_tokens // length)
        if last <= len(order):
            batches.append((order[first:last], length))
        first = last
    return batches
