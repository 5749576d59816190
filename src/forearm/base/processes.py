"""How many processes can work at once, and what they do: they leave Ctrl-C to their parent and end when it ends."""

import multiprocessing
import os
import signal
import threading


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def serve_parent(*_: object) -> None:
    """Prepare a process that `multiprocessing` started, as its first act.

    Ctrl-C reaches all processes of a terminal; the parent ends this one in order. Where the parent is killed, this one
    ends at once: otherwise it would wait for work for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def end_with_parent() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=end_with_parent, daemon=True).start()
