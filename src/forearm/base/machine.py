"""What a computation ran on, and with which versions."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch


def processor() -> str:
    """What the machine calls its processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str:
    """The last commit of this package's source, with + behind it if that was changed since; empty outside of git."""
    folder = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True).stdout.strip()

    try:
        last = git("log", "-1", "--format=%h", "--", ".")  # empty in a folder that some other project ignores
        return last + ("+" if last and git("status", "--porcelain", "--", ".") else "")
    except OSError:  # no git here
        return ""


def circumstances(device: torch.device, processes: int = 1) -> dict[str, Any]:
    """Machine and versions, ready for JSON."""
    try:
        forearm = version("forearm")
    except PackageNotFoundError:  # run from its source
        forearm = ""
    return {
        "machine": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "forearm": forearm,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
