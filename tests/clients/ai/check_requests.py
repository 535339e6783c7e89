"""Checks recorded requests against the models of the vendors' own clients.

Reads one line of JSON per request: {"provider", "path", "body"}. Fails at the first request that the vendor's
client would not send.
"""

import json
import sys
from urllib.parse import unquote

import botocore.session
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from google.genai import types

converse = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse")


def bedrock(path, body):
    """botocore validates the request and serialises it to the same path and body."""
    prefix, suffix = "/model/", "/converse"
    assert path.startswith(prefix) and path.endswith(suffix), path
    parameters = {"modelId": unquote(path[len(prefix) : -len(suffix)]), **body}
    report = ParamValidator().validate(parameters, converse.input_shape)
    assert not report.has_errors(), report.generate_report()
    written = create_serializer("rest-json").serialize_to_request(parameters, converse)
    assert json.loads(written["body"]) == body, written["body"]
    assert unquote(written["url_path"]) == unquote(path), written["url_path"]


def gemini(path, body):
    """Google's types accept each part of the request; they refuse unknown fields."""
    assert path.startswith("/v1beta/models/") and path.endswith(":generateContent"), path
    for content in body.pop("contents"):
        types.Content.model_validate(content)
    if "systemInstruction" in body:
        types.Content.model_validate(body.pop("systemInstruction"))
    generation = types.GenerationConfig.model_validate(body.pop("generationConfig"))
    assert generation.max_output_tokens > 0
    assert generation.temperature is None and generation.top_p is None and generation.top_k is None
    for tool in body.pop("tools", []):
        types.Tool.model_validate(tool)
    if "toolConfig" in body:
        types.ToolConfig.model_validate(body.pop("toolConfig"))
    assert not body, f"unknown: {list(body)}"


checked = 0
for line in sys.stdin:
    request = json.loads(line)
    {"bedrock": bedrock, "gemini": gemini}[request["provider"]](request["path"], request["body"])
    checked += 1
print(checked)
