"""Predict calls of the official SDK, by one thread or several; it signs whatever has a token."""

import base64
import json
import threading
import time

import numpy
from eas_prediction import PredictClient, StringRequest, TFRequest


def setup(settings):
    clients = {}
    requests = {}

    def client_of(service):
        if service not in clients:
            client = PredictClient(settings["origin"].removeprefix("http://"), service)
            client.set_token(settings["token"])
            client.set_timeout(20000)
            client.init()
            clients[service] = client
        return clients[service]

    def prepare(order):
        data = base64.b64decode(order["data"])
        if order["elements"] == 0:
            request = StringRequest(data)
        else:
            request = TFRequest(settings["signature"])
            values = numpy.frombuffer(data, dtype="<f4").tolist()
            request.add_feed(settings["input"], [order["elements"]], TFRequest.DT_FLOAT, values)
        requests[order["service"]] = request
        answer = client_of(order["service"]).predict(request)
        if order["elements"] == 0:
            return base64.b64encode(answer.response_data).decode()
        values = numpy.asarray(answer.get_values(settings["output"]), dtype="<f4")
        return base64.b64encode(values.tobytes()).decode()

    def check(order):
        # The report is no tensor: its bytes are sent as they are.
        request = StringRequest(requests[order["service"]].to_string())
        return json.loads(client_of(order["check"]).predict(request).response_data)

    def sample(order):
        client, request = client_of(order["service"]), requests[order["service"]]
        durations = []
        over = False

        def work():
            while not over:
                start = time.perf_counter()
                client.predict(request)
                durations.append(time.perf_counter() - start)

        def state():
            server = cpu_seconds(settings["serverPid"])
            return len(durations), time.perf_counter(), time.process_time(), server

        threads = [threading.Thread(target=work) for _ in range(settings["threads"])]
        for thread in threads:
            thread.start()
        time.sleep(order["leadIn"] / 1000)
        begun = state()
        time.sleep(order["milliseconds"] / 1000)
        ended = state()
        over = True
        for thread in threads:
            thread.join()
        calls, seconds, own, server = (after - before for before, after in zip(begun, ended))
        measured = sorted(durations[begun[0] : ended[0]])
        return {
            "value": calls / seconds,
            "cpuMicroseconds": own / calls * 1e6,
            "clientCpu": own / seconds,
            "serverCpu": server / seconds,
            "latencyMicroseconds": measured[len(measured) // 2] * 1e6,
        }

    return {"prepare": prepare, "check": check, "sample": sample}


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split(" ")
    return (int(fields[11]) + int(fields[12])) / 100
