SELECT sequence, record FROM events WHERE sequence = ANY ($1::bigint[])
