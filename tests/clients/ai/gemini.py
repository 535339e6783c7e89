"""Google's own client against the fake at the given URL, with the given key. Fails on any deviation from
Google."""

import sys

from google import genai
from google.genai import errors, types

URL, KEY = sys.argv[1:]
FACTS = {"computed": {"baseline_score": 85, "intent_level": "HIGH"}, "enrichment": {"industry": "Fintech"}}
PROMPT = f"<fact_sheet>{FACTS}</fact_sheet>".replace("'", '"')
SCHEMA = {
    "type": "object",
    "properties": {"fit_score": {"type": "integer", "minimum": 0, "maximum": 100}},
    "required": ["fit_score"],
}


def client(key=KEY):
    # The version that the product calls: the client's default differs from release to release.
    options = types.HttpOptions(
        base_url=URL, api_version="v1beta", retry_options=types.HttpRetryOptions(attempts=1)
    )
    return genai.Client(api_key=key, http_options=options)


def refused(code, status, call):
    try:
        call()
    except errors.APIError as error:
        assert (error.code, error.status) == (code, status), error
        return error
    raise AssertionError(f"expected a refusal with {code}")


google = client()

names = [model.name for model in google.models.list()]
assert "models/gemini-3.8-flash" in names, names
assert google.models.get(model="gemini-3.8-flash").output_token_limit > 0

config = types.GenerateContentConfig(
    system_instruction="Judge.",
    response_mime_type="application/json",
    response_json_schema=SCHEMA,
    max_output_tokens=2048,
    thinking_config=types.ThinkingConfig(thinking_level="LOW"),
)
answer = google.models.generate_content(model="gemini-3.8-flash", contents=PROMPT, config=config)
assert answer.candidates[0].finish_reason == types.FinishReason.STOP
assert answer.parsed["fit_score"] == 85, answer.text
assert answer.parsed["evidence"][0]["value"] == "Fintech"
usage = answer.usage_metadata
assert usage.thoughts_token_count > 0
total = usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
assert usage.total_token_count == total
assert answer.model_version == "gemini-3.8-flash"

tool = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="judge_lead", description="d", parameters_json_schema=SCHEMA)
    ]
)
calling = types.ToolConfig(
    function_calling_config=types.FunctionCallingConfig(mode="ANY", allowed_function_names=["judge_lead"])
)
answer = google.models.generate_content(
    model="gemini-3.8-flash",
    contents=PROMPT,
    config=types.GenerateContentConfig(tools=[tool], tool_config=calling),
)
assert answer.function_calls[0].name == "judge_lead"
assert answer.function_calls[0].args["decision"] == "ROUTE_TO_SDR"

short = types.GenerateContentConfig(max_output_tokens=8)
answer = google.models.generate_content(model="gemini-3.8-flash", contents=PROMPT, config=short)
assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
assert not answer.text

ask = lambda google, model, config=None: google.models.generate_content(model=model, contents="Hi", config=config)
refused(404, "NOT_FOUND", lambda: ask(google, "gemini-2.0-flash"))
refused(400, "INVALID_ARGUMENT", lambda: ask(client("wrong"), "gemini-3.8-flash"))
thinking = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(thinking_level="LOW"))
refused(400, "INVALID_ARGUMENT", lambda: ask(google, "gemma-4-27b-it", thinking))
print("ok")
