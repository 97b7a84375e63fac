"""Uses Alibaba's own client of the EAS API, unchanged, against the control plane of the emulator. Prints one JSON line for
each check."""

import json
import sys
import traceback

from alibabacloud_eas20210701 import models
from alibabacloud_eas20210701.client import Client
from alibabacloud_tea_openapi.models import Config

SETTINGS = json.loads(sys.argv[1])


def client(**changes):
    options = {
        "access_key_id": SETTINGS["accessKeyId"],
        "access_key_secret": SETTINGS["accessKeySecret"],
        "security_token": SETTINGS["securityToken"],
        "region_id": SETTINGS["region"],
        "endpoint": SETTINGS["host"],
        "protocol": "HTTP",
    }
    return Client(Config(**{**options, **changes}))


def lists_services():
    body = client().list_services(models.ListServicesRequest(page_size=2, page_number=1)).body
    assert body.total_count == len(SETTINGS["names"]), body.total_count
    assert [service.service_name for service in body.services] == SETTINGS["names"][:2]


def filters_with_characters_that_must_be_encoded():
    body = client().list_services(models.ListServicesRequest(filter="a b*c~+/中文")).body
    assert body.services == [], body.services


def describes_a_service():
    body = client().describe_service(SETTINGS["region"], "echo").body
    assert body.access_token == SETTINGS["token"]
    assert body.internet_endpoint.endswith("/api/predict/echo"), body.internet_endpoint
    assert body.status == "Running"


def describes_endpoints():
    body = client().describe_service_endpoints(SETTINGS["region"], "echo").body
    assert body.access_token == SETTINGS["token"]
    assert [endpoint.endpoint_type for endpoint in body.endpoints] == ["DefaultGateway"]


def refusal(call):
    try:
        call()
    except Exception as error:
        return error.code
    raise AssertionError("no exception")


def is_refused_with_a_wrong_secret():
    wrong = client(access_key_secret="wrong")
    assert refusal(lambda: wrong.describe_service(SETTINGS["region"], "echo")) == "SignatureDoesNotMatch"


def is_refused_with_an_unknown_key():
    wrong = client(access_key_id="LTAIunknown")
    assert refusal(lambda: wrong.describe_service(SETTINGS["region"], "echo")) == "InvalidAccessKeyId.NotFound"


def is_refused_for_an_unknown_service():
    code = refusal(lambda: client().describe_service(SETTINGS["region"], "unknown"))
    assert code == "InvalidService.NotFound", code


CHECKS = [
    lists_services,
    filters_with_characters_that_must_be_encoded,
    describes_a_service,
    describes_endpoints,
    is_refused_with_a_wrong_secret,
    is_refused_with_an_unknown_key,
    is_refused_for_an_unknown_service,
]

for check in CHECKS:
    try:
        check()
        error = None
    except Exception:
        error = traceback.format_exc()
    print(json.dumps({"name": check.__name__.replace("_", " "), "error": error}), flush=True)
