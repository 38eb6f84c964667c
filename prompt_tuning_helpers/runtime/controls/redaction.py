"""Takes secrets out of what is recorded of a request: keys and tokens, wherever they stand."""

import json
import re
from collections.abc import Iterable
from typing import Any

# Names of fields, parameters and form fields, in lower case and without hyphens and underscores.
SECRET_NAMES = {
    *("apikey", "iamapikey", "accesskeyid", "secretaccesskey", "password", "secret", "clientsecret"),
    *("token", "accesstoken", "refreshtoken", "idtoken", "bearertoken", "authorization"),
}
SECRET_HEADER = re.compile("auth|token|key|secret|cookie|password|credential", re.IGNORECASE)
TOKEN = re.compile(r"eyJ[\w-]*\.[\w-]*\.[\w-]*", re.ASCII)  # as a JSON object begins in base64: {"
HIDDEN = "***"


class Redaction:
    """What one runtime keeps secret.

    Args:
        secrets: texts that are hidden wherever they stand, besides all tokens.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secret = re.compile("|".join([TOKEN.pattern, *(re.escape(secret) for secret in secrets)]), re.ASCII)

    def headers(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Leave out the headers whose names tell of secrets; of those that are repeated, the values are joined."""
        kept: dict[str, str] = {}
        for name, value in headers:
            if not SECRET_HEADER.search(name):
                kept[name] = ", ".join([*([kept[name]] if name in kept else []), self.text(value)])
        return kept

    def document(self, value: Any) -> Any:
        """Leave out the fields of a JSON document whose names tell of secrets, and hide secrets in the others."""
        if isinstance(value, dict):
            return {self.text(name): self.document(item) for name, item in value.items() if not _is_secret(name)}
        if isinstance(value, list):
            return [self.document(item) for item in value]
        if isinstance(value, str):
            return self.text(value)
        # A number with the digits of a secret is hidden, too: whoever wrote it may have meant the secret.
        return HIDDEN if self._secret.search(json.dumps(value)) else value

    def text(self, text: str) -> str:
        """Hide the secrets in a text."""
        return self._secret.sub(HIDDEN, text)


def _is_secret(name: str) -> bool:
    return name.lower().replace("-", "").replace("_", "") in SECRET_NAMES
