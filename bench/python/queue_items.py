"""The official Python SDK watches, commits and puts: as bench/queue-contender.mjs and bench/queue-put-contender.mjs do."""

import hashlib
import threading
import time

from eas_prediction import QueueClient


def cpu_seconds(pid):
    """Processor time that a process has used. Linux."""
    with open(f'/proc/{pid}/stat') as stat:
        fields = stat.read().rpartition(') ')[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Tally:
    """As that of bench/tally.mjs."""

    def __init__(self, count, server):
        self.lead_in = -(-count // 5)
        self.total = count
        self.server = server
        self.count = 0

    def add(self, _=None):
        """Counts an item; whether it was the last."""
        self.count += 1
        if self.count == self.lead_in:
            self.begun = self.state()
        if self.count == self.total:
            self.ended = self.state()
        return self.count >= self.total

    def state(self):
        return time.perf_counter(), time.process_time(), cpu_seconds(self.server)

    def result(self):
        seconds, own, server = (to - since for since, to in zip(self.begun, self.ended))
        items = self.total - self.lead_in
        return {
            'value': items / seconds,
            'cpuMicroseconds': own * 1e6 / items,
            'clientCpu': own / seconds,
            'serverCpu': server / seconds,
        }


def setup(settings):
    server = settings['serverPid']
    item = bytes.fromhex(settings['item'])
    tags = {'task_id': settings['tags']['task_id']}

    def client_of(queue):
        client = QueueClient(settings['origin'], queue)
        client.set_token(settings['token'])
        client.set_max_connection_count(64)
        client.set_timeout(20000)
        client.init(uid='consumer')
        client.set_logger(None)
        return client

    putting = client_of('items_1024_0')

    def watch(order, commits, take):
        client = client_of(f"items_{order['bytes']}_{order['count']}")
        watcher = client.watch(0, order['window'], auto_commit=order['autoCommit'])
        run = watcher.run()
        for frame in run:
            if commits:
                client.commit(frame.index)
            if take(frame):
                break
        run.close()
        watcher.close()

    def verify(order):
        seen = []

        def take(frame):
            assert hashlib.md5(frame.data).hexdigest() == order['md5']
            assert dict(frame.tags) == settings['tags']
            seen.append(frame.index)
            return len(seen) == order['count']

        watch(order, order['commits'], take)
        first = int(settings['first'])
        assert seen == list(range(first, first + order['count']))

    def sample(order):
        tally = Tally(order['count'], server)
        watch(order, order['commits'], tally.add)
        return tally.result()

    def verify_put(_):
        first, request_id = putting.put(item, tags)
        assert request_id == settings['tags']['requestId']
        assert int(putting.put(item, tags)[0]) == int(first) + 1

    def sample_put(order):
        tally = Tally(order['count'], server)
        lock = threading.Lock()
        over = threading.Event()

        def putter():
            while not over.is_set():
                putting.put(item, tags)
                with lock:
                    if not over.is_set() and tally.add():
                        over.set()

        threads = [threading.Thread(target=putter) for _ in range(order['inFlight'])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return tally.result()

    return {'verify': verify, 'sample': sample, 'verifyPut': verify_put, 'samplePut': sample_put}
