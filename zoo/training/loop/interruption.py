"""Turns SIGTERM and Ctrl-C into a request to stop, with a deadline."""

import os
import signal
import threading
import time

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Notes SIGTERM and SIGINT while it is entered: `with StopRequest(...) as stop`.

    `stop()` tells whether one came. A program that cannot look in time, because it is
    inside a long compilation say, is ended after `seconds`: Python handlers wait for
    such a call to return, but a thread that reads the wake-up descriptor does not.

    Args:
        seconds: float, from the signal to the forced end. Preemptible machines grant
            30 s or less; 8 s keeps the promise of 10.
        last_words: str, printed before a forced end.
    """

    def __init__(self, seconds=8.0, last_words=""):
        self.seconds, self.last_words = seconds, last_words
        self.received = None
        self._over = threading.Event()

    def __call__(self):
        return self.received is not None

    @property
    def exit_status(self):
        """128 + the signal's number, as shells report it."""
        return 128 + self.received

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may install handlers
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._old_descriptor = signal.set_wakeup_fd(
            self._write, warn_on_full_buffer=False
        )
        self._old_handlers = {s: signal.signal(s, self._note) for s in SIGNALS}
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._over.set()
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_descriptor)
        os.close(self._write)  # ends the thread's read

    def _note(self, number, frame):
        self.received = number

    def _watch(self):
        while content := os.read(self._read, 1):
            if content[0] in SIGNALS:
                break
        deadline = time.monotonic() + self.seconds
        while content and time.monotonic() < deadline:
            if self._over.wait(0.1):
                break
        os.close(self._read)
        if content and not self._over.is_set():
            print(self.last_words, flush=True)
            os._exit(128 + content[0])
