"""Tokens: what an API key is exchanged for, and the capability in an upload or download link."""

import secrets
from typing import Any

import jwt

from .clock import Clock

ALGORITHM = "HS256"
TOKEN_SECONDS = 3600
LINK_SECONDS = 3600
NOT_BY_THE_CLOCK: Any = {"verify_exp": False, "verify_iat": False, "require": ["exp"]}


class InvalidToken(Exception):
    """A token that this runtime did not sign, or whose time is over.

    Args:
        expired: whether it was good once.
    """

    def __init__(self, expired: bool) -> None:
        super().__init__("expired" if expired else "invalid")
        self.expired = expired


class Tokens:
    """Signs and checks tokens with the runtime's key.

    A token says when it ends by the clock, which its holder reads. The clock may be set meanwhile: the runtime itself
    goes by the time that has passed, as long as it runs; only what an earlier run issued is held to the clock.

    Args:
        signing_key: from the state folder.
        clock: what tokens last by.
    """

    def __init__(self, signing_key: str, clock: Clock | None = None) -> None:
        self._key = signing_key
        self._clock = clock or Clock()
        self._run = secrets.token_hex(8)
        self._ended_runs: set[str] = set()

    def issue(self, purpose: str, seconds: int, **claims: str) -> tuple[str, int]:
        """Sign a token, and give it with the time at which it ends."""
        issued_at = int(self._clock.time())
        expires_at = issued_at + seconds
        payload = {**claims, "aud": purpose, "iat": issued_at, "exp": expires_at, "jti": secrets.token_hex(8)}
        payload |= {"run": self._run, "until": self._clock.passed() + seconds}
        return jwt.encode(payload, self._key, algorithm=ALGORITHM), expires_at

    def check(self, token: str, purpose: str) -> dict[str, Any]:
        """Give the claims of a token made for this purpose.

        Raises:
            InvalidToken: when it is not ours, not for this purpose, or too old.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._key, algorithms=[ALGORITHM], audience=purpose, options=NOT_BY_THE_CLOCK
            )
            if self._is_over(claims):
                raise InvalidToken(expired=True)
        except (jwt.InvalidTokenError, ValueError) as error:
            raise InvalidToken(expired=False) from error
        return claims

    def expire_issued(self) -> None:
        """Let all tokens of this run be over, those in links, too."""
        self._ended_runs.add(self._run)
        self._run = secrets.token_hex(8)

    def _is_over(self, claims: dict[str, Any]) -> bool:
        if claims.get("run") == self._run:
            return self._clock.passed() >= float(claims["until"])
        return claims.get("run") in self._ended_runs or self._clock.time() >= float(claims["exp"])
