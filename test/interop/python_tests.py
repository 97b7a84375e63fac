"""Runs the unchanged test modules that the eas-prediction wheel has in it, against the emulator. Prints one JSON line for each test.

The modules name hosts of Alibaba Cloud. Only the resolution of names is replaced: those hosts are the emulator, the hosts of
VIPServer are a stub of it, and no other name can be resolved, so that nothing leaves this machine.
"""

import json
import logging
import socket
import sys
import unittest
import urllib.request

SETTINGS = json.loads(sys.argv[1])


def resolve(host, port, *_, **__):
    if isinstance(host, bytes):
        host = host.decode()
    to = SETTINGS["hosts"].get("{}:{}".format(host, port))
    if to is None and host in ("127.0.0.1", "localhost"):
        to = port
    if to is None:
        raise socket.gaierror("{}:{} has no address in this test".format(host, port))
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", to))]


socket.getaddrinfo = resolve

# Not before: the module connects its queues when its first test is made.
from eas_prediction import test_predict_client, test_queue_client  # noqa: E402

logging.disable(logging.WARNING)


class Printed(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.failure = None

    def addError(self, test, err):
        self.failure = self._exc_info_to_string(err, test)

    addFailure = addError

    def addSkip(self, test, reason):
        self.failure = "skipped: {}".format(reason)

    def stopTest(self, test):
        super().stopTest(test)
        urllib.request.urlopen(SETTINGS["settled"]).read()
        print(json.dumps({"name": test.id().split(".", 1)[1], "error": self.failure}), flush=True)


for module in (test_predict_client, test_queue_client):
    unittest.defaultTestLoader.loadTestsFromModule(module).run(Printed())
print(json.dumps({"name": "done", "error": None}), flush=True)
# The SDK's threads that synchronise endpoints never end.
sys.stdout.flush()
sys.exit(0)
