"""Bodies that a file called `.png` may have and no reader may open."""

import struct
import zlib

# Pillow would hand it to Ghostscript, which runs it.
POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\nshowpage\n"
)


def _chunk(kind, content):
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


# A PNG of 100 bytes that claims 60,000 x 60,000 pixels of three colours.
BOMB = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(bytes(1000)))
    + _chunk(b"IEND", b"")
)
HOSTILE = {
    "PostScript": (POSTSCRIPT, "cannot identify image file"),
    "bomb": (BOMB, "exceeds limit|claims 60000 x 60000"),
}
