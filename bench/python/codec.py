"""The official Python SDK's codec: one tensor from a list and from a numpy array, and back."""

import hashlib
import time

import numpy
from eas_prediction import TFRequest
from eas_prediction.tf_request import TFResponse

ARRAYS = {"DT_FLOAT": numpy.float32, "DT_INT32": numpy.int32, "DT_INT64": numpy.int64}


def encoding(order, array):
    as_list = array.tolist()

    def encode(content):
        request = TFRequest(order["signature"])
        request.add_feed(order["name"], order["shape"], getattr(TFRequest, order["dtype"]), content)
        return request.to_string()

    return {"list": lambda: encode(as_list), "numpy": lambda: encode(array)}, digest


def decoding(order, array):
    with open(order["response"], "rb") as file:
        body = file.read()

    def values():
        return TFResponse(body).get_values(order["name"])

    ways = {"list": lambda: list(values()), "numpy": lambda: numpy.array(values(), array.dtype)}
    return ways, lambda result: digest(numpy.array(result, array.dtype).tobytes())


def digest(content):
    return hashlib.sha256(content).hexdigest()


class Loop:
    """As `loop` of measure.mjs."""

    def __init__(self, run, milliseconds=30, lead_in=8):
        self.run = run
        self.lead_in = lead_in / 1000
        begun = time.perf_counter()
        run()
        run()
        self.count = max(1, round(milliseconds / 1000 / ((time.perf_counter() - begun) / 2)))

    def sample(self):
        ready = time.perf_counter() + self.lead_in
        while True:
            kept = self.run()
            if time.perf_counter() >= ready:
                break
        cpu_before = time.process_time()
        start = time.perf_counter()
        for _ in range(self.count):
            kept = self.run()
        seconds = time.perf_counter() - start
        cpu = time.process_time() - cpu_before
        del kept
        return {"value": seconds / self.count * 1000, "cpuMicroseconds": cpu / self.count * 1e6}


def setup(_settings):
    loops = {}

    def prepare(order):
        """Makes the ways, and answers with a proof of what each comes to."""
        array = numpy.fromfile(order["values"], ARRAYS[order["dtype"]])
        ways, proof = {"encode": encoding, "decode": decoding}[order["direction"]](order, array)
        proofs = {name: proof(run()) for name, run in ways.items()}
        loops.clear()
        loops.update({name: Loop(run) for name, run in ways.items()})
        return proofs

    return {"prepare": prepare, "sample": lambda name: loops[name].sample()}
