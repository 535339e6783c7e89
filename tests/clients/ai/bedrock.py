"""AWS's own client against the fake at the given URL, with the given access key. Fails on any deviation from
AWS."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

URL, ACCESS_KEY_ID = sys.argv[1:]
FACTS = {"computed": {"baseline_score": 85, "intent_level": "HIGH"}, "enrichment": {"industry": "Fintech"}}
MESSAGES = [{"role": "user", "content": [{"text": f"<fact_sheet>{json.dumps(FACTS)}</fact_sheet>"}]}]
SCHEMA = {
    "type": "object",
    "properties": {"fit_score": {"type": "integer"}},
    "required": ["fit_score"],
    "additionalProperties": False,
}
CLAUDE = "global.anthropic.claude-haiku-5-5"


def client(access_key_id=ACCESS_KEY_ID):
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=URL,
        aws_access_key_id=access_key_id,
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


def refused(code, status, call):
    try:
        call()
    except ClientError as error:
        found = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert found == (code, status), error
        return
    raise AssertionError(f"expected a refusal with {code}")


def structured(schema):
    definition = {"name": "judge_lead", "schema": json.dumps(schema)}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}


tool = {
    "tools": [{"toolSpec": {"name": "judge_lead", "inputSchema": {"json": SCHEMA}}}],
    "toolChoice": {"tool": {"name": "judge_lead"}},
}
aws = client()
ask = lambda model, aws=aws, **more: aws.converse(modelId=model, messages=MESSAGES, **more)

answer = ask(
    CLAUDE,
    system=[{"text": "Judge."}, {"cachePoint": {"type": "default"}}],
    inferenceConfig={"maxTokens": 2048},
    outputConfig=structured(SCHEMA),
)
assert answer["stopReason"] == "end_turn"
judgement = json.loads(answer["output"]["message"]["content"][0]["text"])
assert (judgement["fit_score"], judgement["evidence"][0]["value"]) == (85, "Fintech"), judgement
usage = answer["usage"]
assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"] + usage["cacheWriteInputTokens"]

answer = ask("us.amazon.nova-2-lite-v1:0", toolConfig=tool)
assert answer["stopReason"] == "tool_use"
uses = [block["toolUse"] for block in answer["output"]["message"]["content"] if "toolUse" in block]
assert uses[0]["input"]["decision"] == "ROUTE_TO_SDR", uses

assert ask(CLAUDE, inferenceConfig={"maxTokens": 8})["stopReason"] == "max_tokens"

refused("ValidationException", 400, lambda: ask("anthropic.claude-haiku-5-5"))
refused("ValidationException", 400, lambda: ask("anthropic.no-such-model"))
refused("ValidationException", 400, lambda: ask(CLAUDE, toolConfig=tool))
refused("ValidationException", 400, lambda: ask("amazon.nova-micro-v1:0", outputConfig=structured(SCHEMA)))
bounded = SCHEMA | {"properties": {"fit_score": {"type": "integer", "minimum": 0}}}
refused("ValidationException", 400, lambda: ask(CLAUDE, outputConfig=structured(bounded)))
open_ended = {key: value for key, value in SCHEMA.items() if key != "additionalProperties"}
refused("ValidationException", 400, lambda: ask(CLAUDE, outputConfig=structured(open_ended)))
refused("ResourceNotFoundException", 404, lambda: ask("anthropic.claude-v2:1"))
refused("UnrecognizedClientException", 403, lambda: ask(CLAUDE, aws=client("AKIDSOMEBODYELSE")))
print("ok")
