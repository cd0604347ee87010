"""A worker that leaves in order is told from one that is gone."""

import socket

import pytest

from zoo.devices import lookout, workers

pytestmark = pytest.mark.once(reason="speaks through sockets")


class Chief(workers.Alone):
    """The chief of two; the other worker says `words` before it is listened to."""

    def __init__(self, words):
        super().__init__(count=2)
        self._words = words

    def gather(self, number):
        self._peer = socket.create_connection(("127.0.0.1", number))
        self._peer.sendall(self._words)
        self._peer.close()
        return [number]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b"\0\0\0\1\1", []),  # index and goodbye, which arrive together
        (b"\0\0\0\1", ["worker 1 of 2 is gone"]),
    ],
)
def test_a_goodbye_before_the_first_look_is_heard(monkeypatch, words, said):
    heard, threads = [], []

    class Thread(lookout.threading.Thread):
        def start(self):
            threads.append(self)
            super().start()

    monkeypatch.setattr(lookout.threading, "Thread", Thread)
    monkeypatch.setattr(lookout.Lookout, "_leave", lambda _, what: heard.append(what))
    look = lookout.Lookout(Chief(words), "127.0.0.1")
    with look:
        for thread in threads:
            thread.join(10)
    for peer in look._peers.values():
        peer.close()  # else it is open until the process ends
    assert len(threads) == 1
    assert heard == said
