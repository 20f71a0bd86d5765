"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_V1 = ("quota", "period")


def available_cores(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Cores by the process's affinity and the least quota of its control group and those above it, at least 1.

    Args:
        cgroups: Where the control groups are, of version 2 (with `cpu.max`) or 1 (with `cpu/cpu.cfs_quota_us`).
        own: Says which of them the process is in.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([cores, *map(_quota, _groups(cgroups, own))])))


def _groups(cgroups: Path, own: Path) -> Iterator[Path]:
    """The process's control groups that may bound its time, each with all above it."""
    roots = (cgroups, cgroups / "cpu")
    yield from roots
    try:
        lines = own.read_text("utf-8").splitlines()
    except OSError:  # no control groups here
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        group = PurePosixPath(path.lstrip("/"))
        if ".." in group.parts:  # of another namespace, and not to be seen from here
            continue
        root = roots[0] if number == "0" else roots[1]
        yield from (root / each for each in (group, *group.parents))


def _quota(group: Path) -> float:
    """Cores' worth of time that a control group grants; infinite where it sets no bound, or is not there."""
    try:
        if (group / "cpu.max").is_file():
            granted, period = (group / "cpu.max").read_text("ascii").split()
        else:
            granted, period = ((group / f"cpu.cfs_{name}_us").read_text("ascii") for name in _V1)
        return float(granted) / float(period) if float(granted) > 0 else math.inf
    except (OSError, ValueError):  # no control group, or "max"
        return math.inf
