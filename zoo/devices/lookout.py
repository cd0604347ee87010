"""Notices at once when another worker of the run is gone.

The engines wait for a dead worker for minutes, and some end the program with a stack
trace. Here each worker holds a connection to the chief, which the operating system
closes when a process ends, however it ends.
"""

import atexit
import contextlib
import os
import socket
import sys
import threading

_GOODBYE = b"\x01"
_INDEX_BYTES = 4
_SECONDS = 10.0  # for an orderly connection, and for the other to be noticed


class WorkerLost(RuntimeError):
    """The engine failed inside a step, as it does when another worker is gone."""


def _end(status):
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class Lookout:
    """While entered, ends this process with one line when another worker is gone.

    Args:
        worker: `zoo.devices.workers.current.Worker`.
        host: str, the chief's, or None: the engine's own time-outs must do.
    """

    def __init__(self, worker, host):
        self._worker, self._host = worker, host
        self._peers, self._over = {}, threading.Event()

    def __enter__(self):
        # The port is told by the engine: nothing to configure.
        with contextlib.ExitStack() as stack:
            port = 0
            if self._worker.chief and self._host:
                server = stack.enter_context(socket.create_server(("", 0)))
                server.settimeout(_SECONDS)
                port = server.getsockname()[1]
            port = max(self._worker.gather(port))
            if not port or not self._host:
                return self
            try:
                if self._worker.chief:
                    for _ in range(self._worker.count - 1):
                        peer, _ = server.accept()
                        # No more than the index: a goodbye may be right behind it.
                        index = peer.recv(_INDEX_BYTES, socket.MSG_WAITALL)
                        self._peers[int.from_bytes(index)] = peer
                else:
                    peer = socket.create_connection((self._host, port), _SECONDS)
                    peer.sendall(self._worker.index.to_bytes(_INDEX_BYTES))
                    self._peers[0] = peer
            except OSError as error:
                print(f"Warning: no connection between workers ({error}): one that "
                      "dies will be noticed late.", file=sys.stderr)  # fmt: skip
        for index, peer in self._peers.items():
            peer.settimeout(None)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            threading.Thread(
                target=self._watch, args=(index, peer), daemon=True
            ).start()
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, WorkerLost):
            # If a process is gone, the thread that watches it ends this one.
            self._over.wait(_SECONDS)
            self._leave(f"a worker failed ({str(error).splitlines()[0][:200]})")
        self._over.set()
        for peer in self._peers.values():
            with contextlib.suppress(OSError):
                if error is None:
                    peer.sendall(_GOODBYE)
                peer.shutdown(socket.SHUT_WR)  # told, or noticed, at once
        if isinstance(error, Exception):
            # The engine would wait for the others at the end of the program.
            atexit.register(_end, 2 if isinstance(error, ValueError) else 1)

    def _watch(self, index, peer):
        try:
            message = peer.recv(1)
        except OSError:
            message = b""
        if message != _GOODBYE and not self._over.is_set():
            self._leave(f"worker {index} of {self._worker.count} is gone")

    def _leave(self, what):
        """Ends the process now: the engine would wait for the one that is gone."""
        print(
            f"error: {what}; the last checkpoint is intact; start all workers again "
            "with --resume",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)
