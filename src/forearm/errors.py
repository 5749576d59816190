"""The one exception that a user is meant to read."""


class ForearmError(Exception):
    """Something the user can mend: one line that says what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with code 2. (It is no ValueError: where settings are made
    from options, tyro would catch that and say it in several lines of its own.)
    """
