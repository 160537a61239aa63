"""Makes calls with the AWS CLI, each in a process of its own; see boto3_driver.py.

    awscli_driver.py ENDPOINT
"""

import json
import os
import re
import subprocess
import sys

from values import decode

AWS = os.path.join(os.path.dirname(sys.executable), "aws")
ERROR = re.compile(r"An error occurred \((\S+)\) when calling the \S+ operation(?: \([^)]*\))?: ?(.*)", re.DOTALL)
UNKNOWN = re.compile(r"Invalid choice|Unknown parameter in input[^,\n]*", re.IGNORECASE)


def command(op):
    """CreateStream is create-stream on the command line."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", op.replace("ARN", "Arn")).lower()


def reply(endpoint, request):
    if "$records" in request["input"]:
        return {"unknown": "event streams"}
    params = decode(request["input"], blob=lambda b: b.decode(), moment=lambda t: t.isoformat())
    done = subprocess.run(
        [AWS, "--endpoint-url", endpoint, "--output", "json", "--no-paginate", request["service"], command(request["op"])]
        + ["--cli-input-json", json.dumps(params)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 0:
        return {"output": json.loads(done.stdout) if done.stdout.strip() else {}}
    failed = ERROR.search(done.stderr)
    if failed:
        return {"error": {"type": failed[1], "message": failed[2].rstrip("\n")}}
    unknown = UNKNOWN.search(done.stderr)
    if unknown:
        return {"unknown": "the operation" if "choice" in unknown[0] else unknown[0]}
    return {"broken": done.stderr.strip()}


def main():
    for line in sys.stdin:
        try:
            out = reply(sys.argv[1], json.loads(line))
        except Exception as e:  # whatever a bad answer makes of the client is a result too
            out = {"broken": f"{type(e).__name__}: {e}"}
        print(json.dumps(out), flush=True)


main()
