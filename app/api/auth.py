"""Who may ask for work: whoever has one of the API keys, where a file of them is set."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.datastructures import Headers

from app.api.problems import ProblemError
from app.serving.keys import Keys

KEY_HEADER = "X-API-Key"
SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key as a bearer token."},
    "key": {"type": "apiKey", "in": "header", "name": KEY_HEADER, "description": "An API key."},
}


async def check_key(request: Request) -> None:
    """A 401 problem without a good key; before anything of the body is read."""
    keys: Keys | None = request.app.state.keys
    if keys is None:
        return
    sent = _sent(request.headers)
    if not any(keys.knows(key.encode("latin-1")) for key in sent):
        challenge = 'Bearer realm="events"' + (', error="invalid_token"' if sent else "")
        detail = "The API key is not known." if sent else "An API key is needed."
        raise ProblemError(401, detail, headers={"WWW-Authenticate": challenge})


def _sent(headers: Headers) -> list[str]:
    """The keys of a request; another kind of Authorization is some gateway's."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = [token.strip()] if scheme.lower() == "bearer" else []
    return bearer + [key.strip() for key in headers.getlist(KEY_HEADER)]
