"""What schemathesis says in other words, and what it is to check besides its own.

A caller that is tried with everything would sooner or later revoke its own token
or end its own membership, and all that follows would be refused: whatever names
the caller names a stand-in instead. So do the examples of the description, which
name nothing that is there. Both are in the environment.
"""

import json
import os
from urllib.parse import unquote

import schemathesis

STAND_INS = json.loads(os.environ["COUNTERFOIL_STAND_INS"])


def replaced(value):
    if isinstance(value, str):
        return STAND_INS.get(unquote(value).lower(), value)
    if isinstance(value, dict):
        return {name: replaced(item) for name, item in value.items()}
    if isinstance(value, list):
        return [replaced(item) for item in value]
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    for part in ("path_parameters", "query", "body"):
        value = getattr(case, part)
        other = replaced(value)
        # What is assigned is judged anew, as it is written in the URL.
        if other != value:
            setattr(case, part, other)


@schemathesis.serializer("application/jsonl")
def as_it_is(context, value):
    return str(value).encode()


if "COUNTERFOIL_STRANGER" in os.environ:

    @schemathesis.check
    def strangers_get_nowhere(ctx, response, case):
        ways = case.operation.definition.raw.get("security")
        if ways and {} in ways:
            # Who asks may be in the body, which is looked at first.
            assert response.status_code >= 400, response.status_code
        elif ways:
            assert response.status_code in (401, 404, 405), response.status_code
