"""What a process has taken of memory."""

from pathlib import Path


def most_memory(pid: int) -> int:
    """The most that it has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
