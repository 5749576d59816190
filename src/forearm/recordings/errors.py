"""What a reader raises when one episode, not the whole recording, is at fault."""

from forearm.base.errors import ForearmError


class EpisodeUnreadable(ForearmError):
    """One episode cannot be read; whoever consumes it drops all of it and goes on with the next."""
