// openid-client obtains, introspects and revokes; jose verifies with the published keys.
//
// Reads what there is to do as JSON on standard input, prints what came of it: each error by
// the library's own type for it.

import { readFileSync } from "node:fs";
import * as jose from "jose";
import * as openid from "openid-client";

const task = JSON.parse(readFileSync(0, "utf8"));
const issuer = new URL(task.issuer);

const TYPES = {
  ResponseBodyError: openid.ResponseBodyError,
  WWWAuthenticateChallengeError: openid.WWWAuthenticateChallengeError,
  JWTClaimValidationFailed: jose.errors.JWTClaimValidationFailed,
  JWSSignatureVerificationFailed: jose.errors.JWSSignatureVerificationFailed,
};

const error = async (call) => {
  try {
    await call();
  } catch (error) {
    const type = Object.keys(TYPES).find((name) => error instanceof TYPES[name]);
    if (!type) throw error;
    const scheme = error.cause?.[0]?.scheme;
    return { type, ...(error.error && { error: error.error }), ...(scheme && { scheme }) };
  }
};

const configured = ({ id, secret, way }) => {
  const ways = {
    client_secret_basic: openid.ClientSecretBasic,
    client_secret_post: openid.ClientSecretPost,
  };
  return openid.discovery(issuer, id, undefined, ways[way](secret), {
    algorithm: "oauth2",
    // The server is on loopback.
    execute: [openid.allowInsecureRequests],
  });
};

const manager = await configured(task.manager);
const keys = jose.createRemoteJWKSet(new URL(manager.serverMetadata().jwks_uri));

for (const api of task.apis) {
  const client = await configured(api);
  const parameters = api.scope ? { scope: api.scope } : {};
  const { access_token: text } = await openid.clientCredentialsGrant(client, parameters);
  const verified = async (token, audience = api.name) => {
    const expected = { audience, issuer: task.issuer, typ: "at+jwt", algorithms: [api.algorithm] };
    const required = { requiredClaims: ["exp", "iat", "jti", "sub"] };
    return (await jose.jwtVerify(token, keys, { ...expected, ...required })).payload;
  };
  const [head, payload, signature] = text.split(".");
  const other = signature[0] === "A" ? "B" : "A";
  const forged = [head, payload, other + signature.slice(1)].join(".");
  const told = {
    claims: await verified(text),
    other_audience: await error(() => verified(text, "other")),
    forged: await error(() => verified(forged)),
    introspected: await openid.tokenIntrospection(manager, text),
    scope: await error(() => openid.clientCredentialsGrant(client, { scope: "admin" })),
    secret: await error(async () =>
      openid.clientCredentialsGrant(await configured({ ...api, secret: "wrong" })),
    ),
    access_token: (await error(() => openid.tokenRevocation(client, text))).error,
  };
  await openid.tokenRevocation(client, api.secret);
  told.revoked = 200;
  told.afterwards = await openid.tokenIntrospection(manager, text);
  console.log(JSON.stringify(told));
}
