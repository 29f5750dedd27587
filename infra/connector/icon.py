"""The connector's icon, an envelope, drawn without a library."""

import struct
import zlib

SIZE_PIXELS = 160
BACKGROUND, FOREGROUND = (11, 87, 164), (255, 255, 255)
LEFT, RIGHT, TOP, BOTTOM, LINE_WIDTH = 34, 126, 50, 110, 5


def icon() -> bytes:
    """A PNG of 160 by 160 pixels.

    https://www.w3.org/TR/png-3/#5DataRep
    """
    rows = b"".join(b"\0" + b"".join(bytes(_colour(x, y)) for x in range(SIZE_PIXELS)) for y in range(SIZE_PIXELS))
    header = struct.pack(">IIBBBBB", SIZE_PIXELS, SIZE_PIXELS, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _colour(x: int, y: int) -> tuple[int, int, int]:
    inside = LEFT <= x <= RIGHT and TOP <= y <= BOTTOM
    border = inside and (min(x - LEFT, RIGHT - x) < LINE_WIDTH or min(y - TOP, BOTTOM - y) < LINE_WIDTH)
    flap = TOP + min(x - LEFT, RIGHT - x) * 0.75
    return FOREGROUND if border or (inside and abs(y - flap) < LINE_WIDTH) else BACKGROUND


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
