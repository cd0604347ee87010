"""What TensorFlow says while it is imported, without what is known to be harmless.

Imports nothing but the standard library, so that it comes before TensorFlow.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # of TensorFlow's C++: 0 says all, 3 next to nothing
# It has no level yet when it says these, so they are taken out of its output.
_HARMLESS = re.compile(
    rb"All log messages before absl::InitializeLog|oneDNN custom operations are on"
    rb"|Could not find cuda drivers|binary is optimized to use available CPU"
    rb"|enable the following instructions|Unable to register cu"
)


def _has_gpu():
    return os.path.exists("/dev/nvidia0") or os.path.exists("/dev/dxg")  # or WSL's


@contextlib.contextmanager
def notes_dropped() -> Iterator[None]:
    """Keeps TensorFlow, imported while this is entered, from saying what is harmless.

    That is: notes on oneDNN and instructions of the processor, and, on a machine
    without a GPU, errors of CUDA. It says all of it if TF_CPP_MIN_LOG_LEVEL is set, and
    nothing is changed for other backends, or if TensorFlow is imported already.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if _LEVEL in os.environ or backend != "tensorflow" or "tensorflow" in sys.modules:
        yield
        return
    os.environ[_LEVEL] = "2" if _has_gpu() else "3"
    with _filtered_stderr():
        yield


@contextlib.contextmanager
def _filtered_stderr():
    """Takes harmless lines out of what is written to descriptor 2 while entered."""
    try:
        kept = os.dup(2)
    except OSError:  # a process without one
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            lines = [line for line in written if not _HARMLESS.search(line)]
            os.write(2, b"".join(lines))
