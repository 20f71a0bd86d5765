"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_cores(cgroup: Path = _CGROUP) -> int:
    """Cores by the process's affinity and its control group's quota, at least 1.

    Args:
        cgroup: Where the control group's files are, of version 2 (`cpu.max`) or 1 (`cpu/cpu.cfs_quota_us`).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """Cores' worth of time that the control group grants; infinite where it sets no bound."""
    try:
        if (cgroup / "cpu.max").is_file():
            granted, period = (cgroup / "cpu.max").read_text("ascii").split()
        else:
            granted, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text("ascii") for name in _V1)
        return float(granted) / float(period) if float(granted) > 0 else math.inf
    except (OSError, ValueError):  # no control group, or "max"
        return math.inf


_V1 = ("quota", "period")
