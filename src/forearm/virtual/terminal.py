"""The pseudo-terminal that stands for the USB cable, and the pipe on which commands arrive."""

import contextlib
import os
import tty
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cable:
    """A pseudo-terminal in raw mode."""

    link: Path
    """Where the serial port is found."""
    ours: int = -1
    """Descriptor of our end; -1 while the cable is pulled."""
    theirs: int = -1
    """Of the other end, which stays open so that programs may come and go."""

    def plug(self) -> None:
        """Put the cable in."""
        if self.ours < 0:
            self.ours, self.theirs = os.openpty()
            tty.setraw(self.theirs)
            os.set_blocking(self.ours, False)
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(os.ttyname(self.theirs))

    def unplug(self) -> None:
        """Pull the cable: programs that have the port open get errors, and the port is gone."""
        if self.ours >= 0:
            self.link.unlink(missing_ok=True)
            os.close(self.theirs)
            os.close(self.ours)
            self.ours = self.theirs = -1

    def read(self) -> bytes:
        """What has arrived."""
        with contextlib.suppress(OSError):
            return os.read(self.ours, 4096)
        return b""

    def write(self, data: bytes) -> None:
        """Send. What nobody fetches is lost."""
        with contextlib.suppress(OSError):
            os.write(self.ours, data)


@dataclass
class Lines:
    """Lines of text that arrive on a descriptor."""

    descriptor: int
    rest: bytes = b""
    ended: bool = False

    def read(self) -> list[str]:
        """The whole lines that have arrived."""
        try:
            data = os.read(self.descriptor, 4096)
        except BlockingIOError:
            return []
        self.ended = not data
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]
