"""Authlib obtains, introspects and revokes; PyJWT verifies with the published keys.

Reads what there is to do as JSON on standard input, prints what came of it: each error by
the library's own type for it.
"""

import json
import sys

import jwt
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import get_well_known_url


def error(call):
    try:
        call()
    except OAuthError as error:
        return {"type": "OAuthError", "error": error.error}
    except jwt.InvalidAudienceError:
        return {"type": "InvalidAudienceError"}
    except jwt.InvalidSignatureError:
        return {"type": "InvalidSignatureError"}


def session(client, way="client_secret_basic"):
    return OAuth2Session(
        client["id"],
        client["secret"],
        token_endpoint_auth_method=way,
        revocation_endpoint_auth_method=way,
    )


def run(task):
    metadata = requests.get(get_well_known_url(task["issuer"], external=True)).json()
    assert metadata["issuer"] == task["issuer"]
    endpoint = metadata["token_endpoint"]
    keys = jwt.PyJWKClient(metadata["jwks_uri"])
    manager = session(task["manager"])

    def introspected(token):
        return manager.introspect_token(metadata["introspection_endpoint"], token=token).json()

    def verified(token, api, audience=None):
        key = keys.get_signing_key_from_jwt(token)
        return jwt.decode(
            token,
            key.key,
            algorithms=[api["algorithm"]],
            audience=audience or api["name"],
            issuer=task["issuer"],
            options={"require": ["exp", "iat", "jti", "sub"], "verify_jti": True},
        )

    for api in task["apis"]:
        client = session(api, api["way"])
        token = client.fetch_token(endpoint, grant_type="client_credentials", scope=api["scope"])
        text = token["access_token"]
        head, payload, signature = text.split(".")
        other = "B" if signature[0] == "A" else "A"
        forged = ".".join([head, payload, other + signature[1:]])
        told = {
            "claims": verified(text, api),
            "other_audience": error(lambda: verified(text, api, "other")),
            "forged": error(lambda: verified(forged, api)),
            "introspected": introspected(text),
            "scope": error(
                lambda: client.fetch_token(
                    endpoint, grant_type="client_credentials", scope="admin"
                )
            ),
            "secret": error(
                lambda: session({**api, "secret": "wrong"}, api["way"]).fetch_token(
                    endpoint, grant_type="client_credentials"
                )
            ),
        }
        unsupported = client.revoke_token(metadata["revocation_endpoint"], token=text)
        told["access_token"] = unsupported.json()["error"]
        revoked = client.revoke_token(metadata["revocation_endpoint"], token=api["secret"])
        told["revoked"] = revoked.status_code
        told["afterwards"] = introspected(text)
        print(json.dumps(told))


run(json.load(sys.stdin))
