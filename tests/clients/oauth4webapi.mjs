// oauth4webapi does all of it: obtains, verifies with the published keys, introspects, revokes.
//
// Reads what there is to do as JSON on standard input, prints what came of it: each error by
// the library's own type for it.

import { readFileSync } from "node:fs";
import * as oauth from "oauth4webapi";

const task = JSON.parse(readFileSync(0, "utf8"));
const issuer = new URL(task.issuer);
// The server is on loopback.
const options = { [oauth.allowInsecureRequests]: true };

const TYPES = {
  ResponseBodyError: oauth.ResponseBodyError,
  WWWAuthenticateChallengeError: oauth.WWWAuthenticateChallengeError,
  OperationProcessingError: oauth.OperationProcessingError,
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

const WAYS = {
  client_secret_basic: oauth.ClientSecretBasic,
  client_secret_post: oauth.ClientSecretPost,
};

const server = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { ...options, algorithm: "oauth2" }),
);

const introspected = async (token) => {
  const client = { client_id: task.manager.id };
  const auth = WAYS[task.manager.way](task.manager.secret);
  const response = await oauth.introspectionRequest(server, client, auth, token, options);
  return oauth.processIntrospectionResponse(server, client, response);
};

for (const api of task.apis) {
  const client = { client_id: api.id };
  const auth = (secret = api.secret) => WAYS[api.way](secret);
  const obtain = async (scope, secret) => {
    const parameters = scope ? { scope } : {};
    const ask = oauth.clientCredentialsGrantRequest;
    const response = await ask(server, client, auth(secret), parameters, options);
    return oauth.processClientCredentialsResponse(server, client, response);
  };
  const revoke = async (token) => {
    const response = await oauth.revocationRequest(server, client, auth(), token, options);
    await oauth.processRevocationResponse(response);
    return response.status;
  };
  const verified = (token, audience = api.name) => {
    const headers = { authorization: `Bearer ${token}` };
    const request = new Request("https://resource.example.com", { headers });
    const algorithms = { signingAlgorithms: [api.algorithm] };
    return oauth.validateJwtAccessToken(server, request, audience, { ...options, ...algorithms });
  };
  const { access_token: text } = await obtain(api.scope);
  const [head, payload, signature] = text.split(".");
  const other = signature[0] === "A" ? "B" : "A";
  const forged = [head, payload, other + signature.slice(1)].join(".");
  const told = {
    claims: await verified(text),
    other_audience: await error(() => verified(text, "other")),
    forged: await error(() => verified(forged)),
    introspected: await introspected(text),
    scope: await error(() => obtain("admin")),
    secret: await error(() => obtain(undefined, "wrong")),
    access_token: (await error(() => revoke(text))).error,
  };
  told.revoked = await revoke(api.secret);
  told.afterwards = await introspected(text);
  console.log(JSON.stringify(told));
}
