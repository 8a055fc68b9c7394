#!/bin/sh
# The vault, with a master key of its own making beside its cards. That is for trying things out: docs/vault.md says
# where a master key belongs.
set -eu
key=/var/lib/tollgate/vault/master.key
if [ ! -s "$key" ]; then
    umask 077
    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$key"
fi
exec tollgate --config /etc/tollgate/vault.toml vault serve
