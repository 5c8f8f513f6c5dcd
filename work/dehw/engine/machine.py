"""What this machine has: processor, cores, units for bfloat16, memory.

Linux tells all of it under /proc; where a system does not tell, each function says what it gives instead.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

BF16_UNITS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}  # flags of /proc/cpuinfo, and what they are called

_IMPORTED = time.perf_counter()
_share: int | None = None  # of the processors, where other processes use the rest


def machine() -> str:
    """The processor, how many of its cores this process may use, and how busy they are."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{processor()}, {processors()} processors{load}"


def processor() -> str:
    """The processor's name."""
    lines = _read("/proc/cpuinfo").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor() or platform.machine()


def processors() -> int:
    """How many of the machine's processors this process may use."""
    if _share:
        return _share
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_processors(count: int) -> None:
    """Have this process use so many processors alone, for others work beside it; to be called before networks load."""
    global _share
    import cv2

    _share = count
    os.environ["OMP_NUM_THREADS"] = str(count)  # of Paddle
    cv2.setNumThreads(count)


def shared_processors() -> int | None:
    """How many processors `use_processors` left to this process; None where all are its own."""
    return _share


def bf16_units() -> list[str] | None:
    """The processor's units that multiply bfloat16 faster than float32; None where the system does not tell."""
    flags = set(_read("/proc/cpuinfo").split())
    return [name for flag, name in BF16_UNITS.items() if flag in flags] if flags else None


def free_memory() -> int | None:
    """Bytes that programs can still have, a container's limit (cgroup v2) included; None where nothing tells."""
    lines = (line.split() for line in _read("/proc/meminfo").splitlines())
    free = [int(words[1]) * 1024 for words in lines if words[:1] == ["MemAvailable:"]]
    limit, used = (_read(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    if limit.isdecimal() and used.isdecimal():
        free.append(max(0, int(limit) - int(used)))
    return min(free, default=None)


def peak_memory() -> int:
    """The most memory that this process has held at once, in bytes; 0 where the system does not tell."""
    # Not getrusage first: its figure begins with that of the process which started this one.
    lines = _read("/proc/self/status").splitlines()
    peak = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
    if peak is not None:
        return 1024 * peak
    try:
        import resource  # Unix only
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Have peak_memory begin again, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        pass


def since_start() -> float:
    """Seconds since this process was started; where the system does not tell, since this module was imported."""
    try:
        ticks = int(_read("/proc/self/stat").rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (IndexError, AttributeError):
        return time.perf_counter() - _IMPORTED


def _read(path: str) -> str:
    """A file's text; "" where there is none. Linux cuts a process's name at 15 bytes, within a character too."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
