"""Reads everything a queue holds, prints the partner and the id of each message, and only then acknowledges them.
Usage: read_queue.py HOST PORT USER QUEUE, the password on standard input. Needs pika."""

import sys

import pika

host, port, user, queue = sys.argv[1:]
login = pika.PlainCredentials(user, sys.stdin.read().strip())
connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port), credentials=login))
channel = connection.channel()
last = None
while True:
    method, properties, _ = channel.basic_get(queue)
    if method is None:
        break
    last = method.delivery_tag
    print(properties.headers["cloudEvents:partitionkey"], properties.message_id)
sys.stdout.flush()
if last is not None:
    channel.basic_ack(last, multiple=True)
connection.close()
