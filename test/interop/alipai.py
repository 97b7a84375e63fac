"""Uses the unchanged package alipai, the PAI Python SDK, against the emulator. Prints one JSON line for each check.

Only the control plane is a stub: the session's service API, which says where a service is and what its token is.
"""

import asyncio
import json
import platform
import queue
import sys
import traceback
from importlib.metadata import version

import numpy
from pai.exception import PredictionException
from pai.predictor import AsyncPredictor, Predictor, WaitConfig

SETTINGS = json.loads(sys.argv[1])
PROCESSORS = {
    "scorecard": "pmml",
    "digits": "tensorflow_cpu_1.15",
    "torch_scores": "pytorch_cpu_1.10",
    "torch_scores_and_labels": "pytorch_cpu_1.10",
}
IMAGES = numpy.asarray(SETTINGS["images"], dtype=numpy.float32)
LABELS = SETTINGS["labels"]
#: Polls more often than the SDK's default of 5 s.
SOON = WaitConfig(interval=0.05)


class ServiceApi:
    def __init__(self, statuses=()):
        self.statuses = list(statuses)

    def get(self, name):
        url = "{}/api/predict/{}".format(SETTINGS["endpoint"], name)
        config = {"name": name}
        if name in PROCESSORS:
            config["processor"] = PROCESSORS[name]
        if name == SETTINGS["queue"]:
            config["metadata"] = {"type": "Async"}
        status = self.statuses.pop(0) if self.statuses else "Running"
        return {
            "ServiceName": name,
            "ServiceId": "eas-m-1",
            "Status": status,
            "Reason": "",
            "Message": status,
            "AccessToken": SETTINGS["token"],
            "InternetEndpoint": url,
            "IntranetEndpoint": url,
            "ServiceConfig": json.dumps(config),
        }


class Session:
    def __init__(self, statuses=()):
        self.service_api = ServiceApi(statuses)


def predictor(name):
    return Predictor(name, session=Session())


def async_predictor(**options):
    return AsyncPredictor(SETTINGS["queue"], session=Session(), **options)


def error_of(call):
    try:
        call()
    except PredictionException as error:
        return error
    raise AssertionError("no PredictionException")


def predict_json():
    assert predictor("scorecard").predict(SETTINGS["rows"]) == SETTINGS["scores"]


def predict_tensorflow():
    service = predictor("digits")
    assert service.inspect_model_signature_def()["signature_name"] == "predict_images"
    outputs = service.predict({"images": IMAGES})
    assert sorted(outputs) == ["labels", "scores"], outputs
    assert outputs["scores"].shape == (len(IMAGES), 10) and outputs["scores"].dtype == numpy.float32
    assert outputs["labels"].tolist() == numpy.argmax(outputs["scores"], axis=1).tolist()
    assert numpy.mean(outputs["labels"] == LABELS) > 0.9


def predict_pytorch():
    scores = predictor("torch_scores").predict(IMAGES)
    assert scores.shape == (len(IMAGES), 10) and scores.dtype == numpy.float32
    assert numpy.mean(numpy.argmax(scores, axis=1) == LABELS) > 0.9


def predict_pytorch_with_two_outputs():
    scores, labels = predictor("torch_scores_and_labels").predict(IMAGES)
    assert labels.tolist() == numpy.argmax(scores, axis=1).tolist()


def raw_predict():
    answer = predictor("echo").raw_predict("text", path="/deep/path", headers={"X-Own": "1"})
    assert (answer.status_code, answer.content) == (200, b"text")
    answer = predictor("echo").raw_predict({"a": [1, None, "\u4e2d"]})
    assert answer.json() == {"a": [1, None, "\u4e2d"]}
    # Names of headers have no case, and the SDK makes a plain dict of them.
    assert {name.lower(): value for name, value in answer.headers.items()}["content-type"] == "application/json"
    answer = predictor("llm").raw_predict(path="v1/models", method="GET")
    assert answer.json()["data"][0]["id"] == "eas-ngram"


def prediction_error():
    error = error_of(lambda: predictor("scorecard").predict("[{]]"))
    assert error.code == 400, error.code
    error = error_of(lambda: predictor("nowhere").raw_predict(b"x"))
    assert error.code == 404, error.code


def wait_until_ready():
    service = Predictor("digits", session=Session(["Waiting", "Waiting"]))
    service.wait_for_ready()
    assert service.service_status == "Running"


def openai():
    client = predictor("llm").openai()
    question = {"model": "eas-ngram", "messages": [{"role": "user", "content": "\u5b66\u800c\u65f6\u4e60\u4e4b\uff0c"}]}
    question.update(temperature=0, max_tokens=16)
    whole = client.chat.completions.create(**question)
    pieces = [
        chunk.choices[0].delta.content or ""
        for chunk in client.chat.completions.create(stream=True, **question)
        if chunk.choices
    ]
    assert len(pieces) > 5 and "".join(pieces) == whole.choices[0].message.content, pieces
    assert [model.id for model in client.models.list()] == ["eas-ngram"]


def async_by_threads():
    service = async_predictor(max_workers=8)
    # A future has its result before its callback has run.
    seen = queue.Queue()
    tasks = [service.predict({"n": n}, callback=seen.put) for n in range(8)]
    wanted = [{"n": n, "done": True} for n in range(8)]
    assert [task.result(timeout=60) for task in tasks] == wanted
    assert sorted(seen.get(timeout=60)["n"] for _ in range(8)) == list(range(8))
    answer = service.raw_predict({"n": 9}).result(timeout=60)
    assert answer.json() == {"n": 9, "done": True}


def async_by_asyncio():
    service = async_predictor()

    async def all_of_them():
        return await asyncio.gather(*(service.predict_async({"n": n}, wait_config=SOON) for n in range(20)))

    assert asyncio.run(all_of_them()) == [{"n": n, "done": True} for n in range(20)]
    answer = asyncio.run(service.raw_predict_async({"n": 21}, wait_config=SOON))
    assert answer.json() == {"n": 21, "done": True}


def async_error_by_threads():
    error = error_of(lambda: async_predictor().predict({"fail": True}).result(timeout=60))
    assert error.code == 400 and "refused" in error.message, error


def async_error_by_asyncio():
    error = error_of(lambda: asyncio.run(async_predictor().predict_async({"fail": True}, wait_config=SOON)))
    assert error.code == 400 and "refused" in error.message, error


CHECKS = [
    wait_until_ready,
    predict_json,
    predict_tensorflow,
    predict_pytorch,
    predict_pytorch_with_two_outputs,
    raw_predict,
    prediction_error,
    openai,
    async_by_threads,
    async_by_asyncio,
    async_error_by_threads,
    async_error_by_asyncio,
]

packages = ["alipai", "openai", "aiohttp", "requests", "protobuf", "numpy"]
print(json.dumps({"python": platform.python_version(), "versions": {name: version(name) for name in packages}}))
for check in CHECKS:
    error = None
    try:
        check()
    except Exception:
        error = traceback.format_exc()
    print(json.dumps({"name": check.__name__, "error": error}), flush=True)
