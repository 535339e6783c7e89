"""Everyday use of simple-salesforce against our fake.

    python ordinary.py URL KEY_FILE

KEY_FILE holds the private key of the app's certificate, PEM. Prints nothing on success.
"""

import sys
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce import exceptions as errors
from simple_salesforce.format import format_soql

URL, KEY_FILE = sys.argv[1:]


class Rerouted(HTTPAdapter):
    """Sends requests to the fake under their original host: the client insists on https and on Salesforce's
    hosts."""

    def send(self, request, **options):
        host = urlsplit(request.url).netloc
        request.url = URL + request.url.split(host, 1)[1]
        request.headers["Host"] = host
        return super().send(request, **options)


def session():
    made = requests.Session()
    made.mount("https://", Rerouted())
    return made


def refused(kind, call, code=None):
    try:
        call()
    except kind as error:
        assert code is None or code in str(error), error
    else:
        raise AssertionError(f"{kind.__name__} is expected")


KEYS = {"consumer_key": "consumer-key", "consumer_secret": "consumer-secret"}

# Client credentials work only on the org's own domain; a JWT works on the login host as well.
sf = Salesforce(domain="acme.my", session=session(), version="67.0", **KEYS)
refused(
    errors.SalesforceAuthenticationFailed,
    lambda: Salesforce(domain="acme.my", session=session(), consumer_key="other", consumer_secret="x"),
    "invalid_client_id",
)
jwt = Salesforce(
    username="integration@acme.example",
    consumer_key="consumer-key",
    privatekey_file=KEY_FILE,
    session=session(),
    version="67.0",
)
assert jwt.limits()["DailyApiRequests"]["Remaining"] > 0
refused(
    errors.SalesforceAuthenticationFailed,
    lambda: Salesforce(username="other@acme.example", consumer_key="consumer-key", privatekey_file=KEY_FILE, session=session()),
    "approved",
)

names = {field["name"] for field in sf.Lead.describe()["fields"]}
assert {"LastName", "RevenueFlow_Id__c", "IsConverted"} <= names

# The life cycle of one record.
ann = {"LastName": "O'Brien", "Company": "Drop Table Ltd", "Email": "ann@py.example.com"}
assert sf.Lead.upsert("RevenueFlow_Id__c/py-0", ann) == 201
made = sf.Lead.get_by_custom_id("RevenueFlow_Id__c", "py-0")["Id"]
assert sf.Lead.get(made)["LastName"] == "O'Brien"
assert sf.Lead.update(made, {"Title": "CTO"}) == 204
assert sf.Lead.upsert("RevenueFlow_Id__c/py-1", {"LastName": "Bo", "Company": "Example"}) == 201
assert sf.Lead.upsert("RevenueFlow_Id__c/PY-1", {"Title": "CEO"}) == 200
assert sf.Lead.get_by_custom_id("RevenueFlow_Id__c", "py-1")["Title"] == "CEO"

found = sf.query(format_soql("SELECT Id, Title FROM Lead WHERE LastName = {}", "O'Brien"))
assert "CTO" in [record["Title"] for record in found["records"]]
assert sf.query_all("SELECT Id FROM Lead WHERE Email = 'ann@py.example.com'")["totalSize"] == 1
usage = sf.api_usage["api-usage"]
assert 0 < usage.used < usage.total

# Errors.
refused(
    errors.SalesforceMalformedRequest,
    lambda: sf.Lead.upsert("RevenueFlow_Id__c/py-9", {"LastName": "Cy"}),
    "REQUIRED_FIELD_MISSING",
)
refused(errors.SalesforceMalformedRequest, lambda: sf.query("SELECT Nmae FROM Lead"), "INVALID_FIELD")
refused(errors.SalesforceResourceNotFound, lambda: sf.Lead.get("00Q000000000zzzAAA"), "NOT_FOUND")
refused(errors.SalesforceResourceNotFound, lambda: sf.apexecute("revenueflow/convert", method="POST", data={}))

# Several calls in one request.
url = "/services/data/v67.0/sobjects/Lead/RevenueFlow_Id__c/py-2"
parts = [
    {"method": "PATCH", "url": url, "referenceId": "lead", "body": {"LastName": "Di", "Company": "X"}},
    {"method": "GET", "url": f"{url}?fields=Id,LastName", "referenceId": "read"},
]
whole = sf.restful("composite", method="POST", json={"allOrNone": False, "compositeRequest": parts})
assert [part["httpStatusCode"] for part in whole["compositeResponse"]] == [201, 200]
assert whole["compositeResponse"][1]["body"]["LastName"] == "Di"

# An ended session is renewed automatically.
requests.delete(f"{URL}/_org/sessions", timeout=60)
assert sf.Lead.get(made)["Title"] == "CTO"
