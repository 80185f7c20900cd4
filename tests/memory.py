"""What a process takes of memory."""

from pathlib import Path


class Growth:
    """By how much a process's memory grew at most, from here on; this process's own where no other is named."""

    def __init__(self, pid: int | None = None) -> None:
        self._process = Path("/proc", "self" if pid is None else str(pid))
        self._before = self._kilobytes("VmRSS")
        (self._process / "clear_refs").write_text("5")  # the peak is counted from here

    @property
    def megabytes(self) -> float:
        """The peak over where it began."""
        return (self._kilobytes("VmHWM") - self._before) / 1024

    def _kilobytes(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
