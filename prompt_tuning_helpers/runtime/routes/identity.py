"""Tokens for API keys: as IBM Cloud's IAM issues them, and as Cloud Pak for Data does."""

import hmac
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from ..endpoint import command_line
from ..http.errors import bad_request
from .operations import Operation, RequestContext

GRANT_TYPE = "urn:ibm:params:oauth:grant-type:apikey"
CPD_VERSION = "5.2.0"


async def create_token(context: RequestContext) -> Response:
    """Exchange an API key for a token, as IAM does."""
    try:
        form = parse_qs(context.body.decode("utf-8", errors="replace"), max_num_fields=20)
    except ValueError:
        form = {}
    context.notice(form)
    grant_type, api_key = form.get("grant_type", [""])[0], form.get("apikey", [""])[0]
    if grant_type != GRANT_TYPE:
        return _refuse("BXNIM0109E", f"The form field grant_type must be {GRANT_TYPE}.")
    if not _is_key(context, api_key):
        return _refuse(
            "BXNIM0415E",
            "Provided API key could not be found. The key of the local runtime is printed by "
            f"`{_command_for_key(context)}`.",
        )
    token, expires_at = _issue(context, "cloud")
    return context.answer(
        {
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": context.runtime.token_seconds,
            "expiration": expires_at,
            "scope": "ibm openid",
        }
    )


async def authorize(context: RequestContext) -> Response:
    """Exchange a user's API key for a token, as Cloud Pak for Data does; any user name will do."""
    api_key = context.fields().text("api_key") or ""
    if not _is_key(context, api_key):
        raise bad_request(
            f"api_key is not this runtime's; `{_command_for_key(context)}` prints it.",
            "invalid_credentials",
        )
    token, _ = _issue(context, "cpd")
    return context.answer({"_messageCode_": "200", "message": "Success", "token": token})


async def get_cpd_version(_: RequestContext) -> Response:
    """Give the version of Cloud Pak for Data whose dialect is spoken."""
    return JSONResponse({"version": CPD_VERSION})


def _command_for_key(context: RequestContext) -> str:
    return command_line("env", context.runtime.state.root)


def _is_key(context: RequestContext, api_key: str) -> bool:
    return hmac.compare_digest(api_key.encode("utf-8", errors="replace"), context.runtime.secrets.api_key.encode())


def _issue(context: RequestContext, dialect: str) -> tuple[str, int]:
    return context.runtime.tokens.issue(
        "access", context.runtime.token_seconds, sub="local-user", iss=context.runtime.url, dialect=dialect
    )


def _refuse(code: str, message: str) -> Response:
    # 400, as IAM answers: the SDK would repeat a 401 three times.
    body: dict[str, Any] = {"errorCode": code, "errorMessage": message, "context": {"url": "/identity/token"}}
    return JSONResponse(body, status_code=400)


# Every token is a bearer token, whichever response_type says so.
FORM: dict[str, Any] = {"query": (), "fields": ("grant_type", "apikey", "response_type")}
OPERATIONS = [
    Operation("POST", "/identity/token", create_token, "Exchange an API key for a token", **FORM, public=True),
    Operation("POST", "/", create_token, "The same, where older settings look for it", **FORM, public=True),
    Operation(
        "POST",
        "/icp4d-api/v1/authorize",
        authorize,
        "Exchange an API key for a token, in Cloud Pak for Data mode",
        query=(),
        fields=("username", "api_key"),
        ignored=("password",),
        public=True,
        differs="any user name will do; passwords are not accepted",
    ),
    Operation(
        "GET", "/ml/wml_services/v2/version", get_cpd_version, "The Cloud Pak for Data version", query=(), public=True
    ),
]
