"""Who may use the app: under which names, and with which token."""

import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """Who may use the app."""

    hosts: frozenset[str] | None = None
    """Names under which it may be called, so that no other site's name can be made to lead to it; None: any."""
    token: str | None = None
    """A secret that every visitor has to bring along; None: none is needed."""

    @classmethod
    def of(cls, host: str, allowed: Iterable[str] = ()) -> "Access":
        """Access to an app that listens at ``host``.

        On a loopback address it answers to the names of this machine and to those ``allowed``, without a token. On any
        other address it asks for a token, and answers to any name unless some are ``allowed``.
        """
        names = {name.lower() for name in allowed}
        if _is_loopback(host):
            return cls(frozenset({"127.0.0.1", "localhost", "::1", host.lower(), *names}))
        return cls(frozenset({host.lower(), *names}) if names else None, secrets.token_urlsafe(16))


OPEN = Access()
"""For everybody."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
