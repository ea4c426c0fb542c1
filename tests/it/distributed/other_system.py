"""Another system. It makes its events with the `cloudevents` package and speaks to NATS with `nats-py`, so that nothing of it is ours.

It reads deeds from its standard input, a line of JSON each, and answers each with one line of JSON. The package has no binding
for NATS. The one for HTTP is the same but for one header: there, the kind of the payload is `content-type`.
"""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from datetime import datetime, timezone

import nats
from cloudevents.core.bindings.http import HTTPMessage, from_binary, from_structured, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from nats.js.errors import APIError

MODES = {"binary": to_binary, "structured": to_structured}
LIMIT = 30


def made(deed):
    attributes = {"time": datetime.now(timezone.utc), "datacontenttype": "application/json", **deed["attributes"]}
    return MODES[deed["mode"]](CloudEvent(attributes, deed["data"]), JSONFormat())


async def publish(client, deed):
    """Plainly: nobody answers."""
    message = made(deed)
    headers = dict(message.headers)
    if deed["mode"] == "binary":
        headers["ce-datacontenttype"] = headers.pop("content-type")
    await client.publish(deed["subject"], message.body, headers=headers)
    await client.flush()
    return {}


async def send(client, deed):
    """Whatever was asked for, be it an event or not, and what the stream answers; until it is no repetition to it."""
    stream, since = client.jetstream(timeout=LIMIT), asyncio.get_running_loop().time()
    while True:
        try:
            ack = await stream.publish(deed["subject"], deed["body"].encode(), headers=deed.get("headers"))
        except APIError as error:
            return {"refused": error.err_code}
        if not ack.duplicate:
            return {"sequence": ack.seq}
        assert asyncio.get_running_loop().time() < since + LIMIT, "still a repetition"


async def post(_client, deed):
    message = made(deed)
    request = urllib.request.Request(deed["url"], message.body, dict(message.headers), method="POST")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=LIMIT) as answer:
            return {"status": answer.status, "body": json.load(answer)}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": json.load(error)}


async def read(client, deed):
    """Every message of a stream, as the package understands it."""
    stream, messages = client.jetstream(timeout=LIMIT), []
    state = (await stream.stream_info(deed["stream"])).state
    for sequence in range(state.first_seq, state.last_seq + 1):
        message = await stream.get_msg(deed["stream"], sequence)
        understood = await decode(client, {"headers": message.headers, "body": message.data.decode()})
        messages.append({"body": message.data.decode(), **understood})
    return messages


async def decode(_client, deed):
    headers = {name.lower(): value for name, value in deed["headers"].items()}
    message = HTTPMessage(headers, deed["body"].encode())
    is_structured = headers.get("content-type", "").startswith("application/cloudevents")
    event = (from_structured if is_structured else from_binary)(message, JSONFormat(), CloudEvent)
    attributes = {name: str(value) for name, value in event.get_attributes().items() if name != "time"}
    return {"attributes": attributes, "data": event.get_data(), "at_ms": round(event.get_time().timestamp() * 1000)}


async def main():
    client = await nats.connect(sys.argv[1])
    for line in sys.stdin:
        deed = json.loads(line)
        print(json.dumps(await globals()[deed["do"]](client, deed)))
    await client.close()


asyncio.run(main())
