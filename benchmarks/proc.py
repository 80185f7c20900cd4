"""What the kernel says of a process."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, since it started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


class Growth:
    """By how much this process's memory grew at most, from here to `megabytes`."""

    def __init__(self) -> None:
        self._before = _kilobytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here

    @property
    def megabytes(self) -> float:
        """The peak over where it began."""
        return (_kilobytes("VmHWM") - self._before) / 1024


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
