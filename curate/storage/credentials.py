"""Credentials for S3 from where every AWS tool takes them: environment, profiles, single sign-on, instance roles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError

from curate.core.errors import InputError

_REFRESH = timedelta(minutes=10)


def aws_credentials(url: str) -> dict[str, Any]:
    """Arguments for the client of `url`: the region, and a function that gives fresh credentials.

    Raises:
        InputError: there are none.
    """
    session = botocore.session.Session()
    try:
        found = session.get_credentials()
    except BotoCoreError as error:
        raise InputError(f"{url}: {error}; mend AWS_PROFILE and the like") from error
    if found is None:
        raise InputError(
            f"{url}: there are no credentials for S3; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )

    def fresh() -> dict[str, Any]:
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _REFRESH,
        }

    region = session.get_config_variable("region")
    # S3 has no conditional copy of its own: a copy in parts is one whose completion is conditional.
    given: dict[str, Any] = {"credential_provider": fresh, "copy_if_not_exists": "multipart"}
    return given | ({"region": region} if region else {})
