#!/bin/sh
# Makes the secrets that compose.yaml names, once, and a certificate of its own to try it with.
set -eu
cd "$(dirname "$0")"
if [ -e secrets ]; then
    echo "secrets is there already; remove it to have new ones" >&2
    exit 1
fi
# The files are readable inside containers, whose users are not this one; nobody else on this
# machine gets as far as to them.
mkdir -m 0700 secrets
cd secrets
umask 022

openssl rand -hex 24 > database-password
limiter=$(openssl rand -hex 24)
printf '%s\n' "$limiter" > limiter-password

# What docs/shared-limits.md allows, and nobody else anything.
cat > valkey-users <<USERS
user default off
user counterfoil on >$limiter ~counterfoil:* resetchannels -@all +evalsha +script|load +get +set +del +zadd +zrem +zcard +zscore +zremrangebyscore +pttl +pexpire +time +select
USERS

# Put your own in their place: browsers do not believe this one.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
    -subj "/CN=example.com" -addext "subjectAltName=DNS:tokens.example.com,DNS:api.example.com" \
    -keyout tls-key -out tls-certificate 2> openssl.log || { cat openssl.log >&2; exit 1; }
rm openssl.log
chmod 0644 tls-key
