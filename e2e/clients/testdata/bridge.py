"""Does with boto3 what it reads, a JSON object per line, and answers with one."""

import json
import sys

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError

ec2 = boto3.client("ec2")


def clean(result):
    return {k: v for k, v in result.items() if k != "ResponseMetadata"}


def do(order):
    name, request = order["Name"], order.get("Request") or {}
    if order["Do"] == "identity":
        return {"Result": boto3.client("sts").get_caller_identity()["Account"]}
    if order["Do"] == "call":
        return {"Result": clean(getattr(ec2, xform_name(name))(**request))}
    if order["Do"] == "wait":
        ec2.get_waiter(name).wait(**request, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
        return {}
    paginator = ec2.get_paginator(xform_name(name))
    pages = list(paginator.paginate(**request, PaginationConfig={"PageSize": order["Size"]}))
    items = [item for page in pages for item in page[order["Member"]]]
    return {"Result": items, "Rounds": len(pages)}


for line in sys.stdin:
    try:
        report = do(json.loads(line))
    except ClientError as e:
        report = {"Code": e.response["Error"]["Code"], "Message": e.response["Error"]["Message"]}
    except Exception as e:
        report = {"Loss": f"{type(e).__name__}: {e}"}
    # Times are ISO 8601, as the CLI prints them.
    print(json.dumps(report, default=lambda t: t.isoformat()), flush=True)
