"""The keyboard of a terminal, listened to for the length of a session."""

import os
import select
import sys
import time
from types import TracebackType
from typing import Any

ENTER = 1.0
"""Seconds after an answer in which Enter belongs to it."""


class Keyboard:
    """Single keys of the terminal that a command runs in.

    It listens for as long as its block runs: whoever listens anew for every action loses the keys pressed between two.
    Ctrl-C interrupts as everywhere. Where there is no terminal, no key is ever pressed.
    """

    def __init__(self) -> None:
        self.is_terminal = sys.stdin is not None and sys.stdin.isatty()
        self._settings: list[Any] | None = None
        self._answered = float("-inf")

    def __enter__(self) -> "Keyboard":
        if self.is_terminal and sys.platform != "win32":
            import termios
            import tty

            self._settings = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin, termios.TCSANOW)  # keys that were pressed already count
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settings is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, self._settings)  # and forget the keys

    def pressed(self) -> bool:
        """Whether a key has been pressed that nothing has asked for."""
        if not (self.is_terminal and self._is_waiting()):
            return False
        if time.monotonic() - self._answered < ENTER:
            self._answered = float("-inf")
            return self._taken() not in "\r\n" or self.pressed()
        return True

    @staticmethod
    def _is_waiting() -> bool:
        if sys.platform == "win32":
            import msvcrt

            return bool(msvcrt.kbhit())
        return bool(select.select([sys.stdin], [], [], 0)[0])

    def answer(self) -> str:
        """Wait for a key and return it in lower case. Keys that were pressed before do not count as an answer."""
        self.forget()
        return self.read()

    def forget(self) -> None:
        """Forget the keys that were pressed until now."""
        self._answered = float("-inf")
        if not self.is_terminal:
            return
        if sys.platform == "win32":
            import msvcrt

            while msvcrt.kbhit():
                msvcrt.getwch()
        else:
            import termios

            termios.tcflush(sys.stdin, termios.TCIFLUSH)

    def read(self) -> str:
        """Wait for a key and return it in lower case."""
        key = self._taken()
        self._answered = time.monotonic()
        return key.lower()

    @staticmethod
    def _taken() -> str:
        if sys.platform == "win32":
            import msvcrt

            return msvcrt.getwch()
        return os.read(sys.stdin.fileno(), 1).decode(errors="replace")
