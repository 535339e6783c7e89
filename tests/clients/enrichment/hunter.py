"""The public Hunter client against the fake: hunter.py URL KEY."""

import sys

import requests
from pyhunter import PyHunter
from pyhunter.exceptions import HunterApiError

url, key = sys.argv[1:]


def client_with(key):
    client = PyHunter(key, max_retries=0)
    client.base_endpoint = url + "/v2/{}"
    return client


def refusal(client, domain):
    """The status and the error's id, which the client reads from the body."""
    try:
        client.company_enrichment(domain)
    except HunterApiError as error:
        response = error.__cause__.response
        return response.status_code, response.json()["errors"][0]["id"]
    raise AssertionError("expected a refusal")


client = client_with(key)
company = client.company_enrichment("stripe.com")
assert company["name"] == "Stripe" and company["geo"]["countryCode"] == "US", company
assert company["metrics"]["employees"] == "5001-10000", company["metrics"]
assert company["foundedYear"] == "2010", company

shape = client.company_enrichment("stripe.com", clearbit_format=True, raw=True).json()
assert shape["name"] == "Stripe" and isinstance(shape["metrics"]["employees"], int), shape

left = client.account_information()["calls"]["left"]
assert left > 0, left

assert refusal(client, "unknown.example") == (404, "resource_not_found")
assert refusal(client, "nonsense") == (422, "invalid_domain")
assert refusal(client_with("wrong"), "stripe.com") == (401, "authentication_failed")
requests.put(f"{url}/_account", json={"credits": 0}, timeout=30).raise_for_status()
assert refusal(client, "stripe.com") == (429, "usage_exceeded")
requests.put(f"{url}/_account", json={"per_minute": 0}, timeout=30).raise_for_status()
assert refusal(client, "stripe.com") == (429, "too_many_requests")
