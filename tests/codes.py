"""What an authenticator app shows: RFC 6238, with SHA-1, six digits and thirty seconds."""

import base64
import hmac
import struct
import time


def code(secret: str) -> str:
    """The code of this half minute."""
    step = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.digest(base64.b32decode(secret), step, "sha1")
    start = digest[-1] & 15
    (number,) = struct.unpack(">I", digest[start : start + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06d}"
