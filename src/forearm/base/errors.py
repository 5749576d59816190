"""The one exception that a user is meant to read."""

import contextlib
import unicodedata
from collections.abc import Iterator

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's kinds of characters that end a line, move the cursor or turn the reading direction."""


def shown(text: str) -> str:
    """Text from a file as it may be shown in one line: control characters are escaped."""
    return "".join(c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in HIDDEN else c for c in text)


class ForearmError(Exception):
    """Something the user can mend: one line that says what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with code 2. Whatever reads files or settings may raise
    it; docstrings say so at the public functions. (It is no ValueError: where settings are made
    from options, tyro would catch that and say it in several lines of its own.)
    """

    def __str__(self) -> str:
        return shown(super().__str__())


@contextlib.contextmanager
def foreign(what: str) -> Iterator[None]:
    """Run code of somebody else's: a policy, a scorer, a family of another package.

    Args:
        what: of it goes wrong where it raises something, such as "the policy x.py:make cannot be made".

    Raises:
        ForearmError: the code raised something, or wanted to end the process by ``sys.exit()``.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        kind = "" if isinstance(error, ForearmError) else f"{type(error).__name__}: "
        raise ForearmError(f"{what}: {kind}{error}") from error
