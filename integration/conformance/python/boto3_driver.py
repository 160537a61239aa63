"""Makes calls with boto3: a request on each line of standard input, what its caller got on each line of standard output.

    boto3_driver.py ENDPOINT
"""

import json
import sys

import boto3
import botocore
import botocore.exceptions

from values import decode, encode


def reply(clients, request):
    client, op, params = clients[request["service"]], request["op"], request["input"]
    try:
        shape = client.meta.service_model.operation_model(op).input_shape
    except botocore.model.OperationNotFoundError:
        return {"unknown": "operation " + op}
    wanted = params.pop("$records", None)
    for member in params:
        if member not in shape.members:
            return {"unknown": f"member {member} of {op}"}
    params = decode(params, blob=lambda b: b, moment=lambda t: t)
    try:
        out = getattr(client, botocore.xform_name(op))(**params)
        meta = out.pop("ResponseMetadata")
        if wanted is not None:
            out = {"Events": events(out["EventStream"], wanted)}
    except botocore.exceptions.ClientError as e:
        members = {k: v for k, v in e.response.items() if k not in ("Error", "ResponseMetadata", "message", "Message")}
        return {
            "error": {"type": e.response["Error"]["Code"], "message": e.response["Error"].get("Message", ""), "members": encode(members)},
            "requestId": e.response.get("ResponseMetadata", {}).get("RequestId", ""),
        }
    return {"output": encode(out), "requestId": meta.get("RequestId", "")}


def events(stream, wanted):
    """The events of a subscription until they hold so many records, or it ends."""
    found = []
    for event in stream:
        if "SubscribeToShardEvent" in event:
            event = event["SubscribeToShardEvent"]
            found.append(event)
            wanted -= len(event["Records"])
            if wanted <= 0 and not event.get("ChildShards"):
                break
    stream.close()
    return found


def main():
    clients = {name: boto3.client(name, endpoint_url=sys.argv[1]) for name in ("kinesis", "dynamodb")}
    for line in sys.stdin:
        try:
            out = reply(clients, json.loads(line))
        except Exception as e:  # whatever a bad answer makes of the client is a result too
            out = {"broken": f"{type(e).__name__}: {e}"}
        print(json.dumps(out), flush=True)


main()
