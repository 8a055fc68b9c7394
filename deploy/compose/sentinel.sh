#!/bin/sh
# A sentinel writes into its own file who is master now; the file is made once.
set -eu
if [ ! -f /data/sentinel.conf ]; then
    cat >/data/sentinel.conf <<END
port 26379
dir /data
protected-mode no
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $(hostname)
sentinel monitor tollgate redis1 6379 2
sentinel down-after-milliseconds tollgate 2000
sentinel failover-timeout tollgate 10000
END
fi
exec redis-sentinel /data/sentinel.conf
