"""Blobs and moments on their way through JSON: {"$bytes": base64} and {"$time": epoch milliseconds}."""

import base64
import datetime


def decode(value, blob, moment):
    """The value that a client takes: blob and moment make what it wants for bytes and a datetime."""
    if isinstance(value, list):
        return [decode(v, blob, moment) for v in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return blob(base64.b64decode(value["$bytes"]))
    if "$time" in value:
        return moment(datetime.datetime.fromtimestamp(value["$time"] / 1000, datetime.timezone.utc))
    return {k: decode(v, blob, moment) for k, v in value.items()}


def encode(value):
    """What a client gave, for json.dumps."""
    if isinstance(value, dict):
        return {k: encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, datetime.datetime):
        return {"$time": round(value.timestamp() * 1000)}
    return value
