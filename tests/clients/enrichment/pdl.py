"""People Data Labs' own client against the fake: pdl.py URL KEY."""

import json
import sys

import requests
from peopledatalabs import PDLPY

url, key = sys.argv[1:]
client = PDLPY(api_key=key, base_path=f"{url}/v5")

found = client.company.enrichment(website="stripe.com", min_likelihood=6, titlecase=True)
assert found.status_code == 200, found.text
company = found.json()
assert company["status"] == 200 and company["likelihood"] >= 6, company
assert (company["name"], company["size"], company["founded"]) == ("Stripe", "5001-10000", 2010), company
assert company["inferred_revenue"] == "$1B-$10B" and company["location"]["country"] == "United States", company
assert found.headers["x-call-credits-spent"] == "1", found.headers
# The limits are objects with single quotes; the vendor's JavaScript client replaces the quotes before
# parsing.
assert json.loads(found.headers["x-ratelimit-limit"].replace("'", '"'))["minute"] > 0, found.headers

lower = client.company.enrichment(website="stripe.com").json()
assert (lower["name"], lower["location"]["country"]) == ("stripe", "united states"), lower

unknown = client.company.enrichment(website="unknown.example")
assert unknown.status_code == 404 and unknown.json()["error"]["type"] == ["not_found"], unknown.text
assert unknown.headers["x-call-credits-spent"] == "0", unknown.headers
unsure = client.company.enrichment(website="university.example", min_likelihood=6)
assert unsure.status_code == 404, unsure.text
assert client.company.enrichment(website="university.example").json()["likelihood"] == 3

refused = PDLPY(api_key="wrong", base_path=f"{url}/v5").company.enrichment(website="stripe.com")
assert refused.status_code == 401, refused.text

requests.put(f"{url}/_account", json={"credits": 0}, timeout=30).raise_for_status()
assert client.company.enrichment(website="stripe.com").status_code == 402
requests.put(f"{url}/_account", json={"per_minute": 0}, timeout=30).raise_for_status()
limited = client.company.enrichment(website="stripe.com")
assert limited.status_code == 429 and limited.headers["x-ratelimit-reset"].endswith("Z"), limited.headers
