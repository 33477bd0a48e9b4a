"""A mail server that keeps to the standards and delivers nowhere.

Called with a certificate's files and a mode, it prints its port, then each message that
it takes as a line of JSON: {"from", "to", "text"}. It knows one user, ada, whose password
is in the environment. Modes: "plain" has neither TLS nor users; "starttls" takes mail from
whoever has turned TLS on and has signed in; "tls" the same, with TLS from the beginning.
"""

import asyncio
import json
import os
import quopri
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Printing:
    """Takes every message, and prints it."""

    async def handle_DATA(self, server, session, envelope):
        content = envelope.content
        # Long lines are cut for the way only; whoever it is for reads them whole.
        if b"\r\nContent-Transfer-Encoding: quoted-printable\r\n" in content:
            content = quopri.decodestring(content)
        text = content.decode("utf-8", "backslashreplace")
        message = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": text}
        print(json.dumps(message), flush=True)
        return "250 taken"


def knows(server, session, envelope, mechanism, offered):
    """Whether it is ada, by her password."""
    user = (offered.login, offered.password)
    right = (b"ada", os.environ["COUNTERFOIL_TEST_PASSWORD"].encode())
    return AuthResult(success=user == right, handled=False)


async def main(certificate, key, mode):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    guarded = {"authenticator": knows, "auth_required": True}
    options = {
        "plain": {},
        "starttls": {**guarded, "tls_context": context, "require_starttls": True},
        # TLS is there already, which aiosmtpd does not see.
        "tls": {**guarded, "auth_require_tls": False},
    }[mode]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Printing(), hostname="localhost", enable_SMTPUTF8=True, **options),
        host="127.0.0.1",
        port=0,
        ssl=context if mode == "tls" else None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
