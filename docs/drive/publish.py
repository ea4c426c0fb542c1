#!/usr/bin/env python3
"""Asks for a version of a model over NATS, as any system may that holds the nkey of `outside-default`.

    python3 -m pip install 'nats-py[nkeys]'
    python3 publish.py --nkey ~/tidegate.nkey --id build-7 reranker 2

Publishing again under the same source and id is no second rollout, so it is repeated until the server has answered.
"""

import argparse
import asyncio
import json
import sys

import nats
from nats.errors import Error


def key(name):
    """Every byte but `A-Z a-z 0-9 -` is `_` and two hex digits in a subject."""
    plain = lambda byte: byte < 128 and (chr(byte).isalnum() or byte == ord("-"))
    return "".join(chr(byte) if plain(byte) else f"_{byte:02x}" for byte in name.encode())


async def publish(asked):
    data = {"version": asked.version, "policy": asked.policy}
    event = {"specversion": "1.0", "id": asked.id, "source": asked.source, "type": "dev.tidegate.version.promote.v1"}
    body = json.dumps({**event, "data": data}).encode()
    client = await nats.connect(asked.server, nkeys_seed=asked.nkey, inbox_prefix=b"_INBOX.outside-default")
    stream, subject = client.jetstream(timeout=5), f"tg.in.default.{key(asked.model)}.version.promote"
    for tries_left in reversed(range(5)):
        try:
            ack = await stream.publish(subject, body)
            print(f"{asked.model} {asked.version}: asked for, message {ack.seq} of {ack.stream}")
            return await client.close()
        except Error:
            if not tries_left:
                raise
            await asyncio.sleep(1)


def main():
    parser = argparse.ArgumentParser(description="Asks Tidegate for a version of a model, over NATS.")
    parser.add_argument("model")
    parser.add_argument("version")
    parser.add_argument("--policy", default="starter", help="default: %(default)s")
    parser.add_argument("--id", required=True, help="of this wish: the same one again is no second rollout")
    parser.add_argument("--source", default="/ci", help="who asks; default: %(default)s")
    parser.add_argument("--server", default="nats://127.0.0.1:4222", help="default: %(default)s")
    parser.add_argument("--nkey", required=True, metavar="FILE", help="a file with the seed of the nkey")
    try:
        asyncio.run(asyncio.wait_for(publish(parser.parse_args()), 60))
    except (Error, OSError, asyncio.TimeoutError) as error:
        sys.exit(f"publish.py: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
