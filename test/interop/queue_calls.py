"""The queue's part of peer.py: the official SDK's QueueClient as programs use it.

Indexes come and go as decimal text, data as base64.
"""

import base64
import threading

from eas_prediction import QueueClient

CLIENTS = {}
WATCHES = {}


def client_of(endpoint, queue, token, uid=None, gid='eas'):
    """One client a consumer, as a program would have it."""
    key = (endpoint, queue, token, uid, gid)
    if key not in CLIENTS:
        client = QueueClient(endpoint, queue)
        client.set_token(token)
        client.init(uid=uid, gid=gid)
        client.set_timeout(30000)
        # It warns of each reconnect.
        client.set_logger(None)
        CLIENTS[key] = client
    return CLIENTS[key]


def frame_of(frame):
    return {
        'index': str(frame.index),
        'data': base64.b64encode(frame.data).decode(),
        'tags': dict(frame.tags),
        'message': frame.message,
    }


def content(value):
    """{"bytes": base64} as bytes, all else as it is."""
    return base64.b64decode(value['bytes']) if isinstance(value, dict) and 'bytes' in value else value


def queue_put(question):
    """Puts one after another; index and request id of each."""
    client = client_of(**question['client'])
    results = [client.put(content(item['data']), item['tags']) for item in question['items']]
    return [{'index': index, 'requestId': request_id} for index, request_id in results]


def queue_get(question):
    return [frame_of(frame) for frame in client_of(**question['client']).get(**question['options'])]


def queue_call(question):
    """truncate, delete, commit, search or attributes."""
    result = getattr(client_of(**question['client']), question['method'])(*question['arguments'])
    return result.decode() if isinstance(result, bytes) else result


def queue_watch(question):
    """Makes a watcher, which connects when the first frame is taken."""
    client = client_of(**question['client'])
    watcher = client.watch(int(question['index']), question['window'], **question['options'])
    WATCHES[question['watch']] = (client, watcher, watcher.run())


def queue_take(question):
    """Takes frames until there are so many, or until one that says "stop"; commits each if told so."""
    client, _, run = WATCHES[question['watch']]
    frames = []
    for frame in run:
        frames.append(frame_of(frame))
        if question['commit']:
            client.commit(frame.index)
        if len(frames) == question.get('count') or frame.data == b'stop':
            return frames


def queue_unwatch(question):
    """The iteration is given up before: a watcher that is closed while it receives connects again, for ever."""
    _, watcher, run = WATCHES.pop(question['watch'])
    run.close()
    watcher.close()


def queue_documented(question):
    """The example of the documentation: one thread puts a hundred items, another one watches them."""
    queue = QueueClient(question['endpoint'], question['queue'])
    queue.set_token(question['token'])
    queue.init()
    queue.set_timeout(30000)

    attributes = queue.attributes()
    if 'stream.lastEntry' in attributes:
        queue.truncate(int(attributes['stream.lastEntry']) + 1)
    count = 100
    sent = []
    received = []

    def send():
        for _ in range(count):
            index, request_id = queue.put('[{}]')
            sent.append([index, request_id])

    def watch():
        watcher = queue.watch(0, 5, auto_commit=True)
        for frame in watcher.run():
            received.append([str(frame.index), frame.tags['requestId']])
            if len(received) == count:
                break
        watcher.close()

    threads = [threading.Thread(target=watch, daemon=True), threading.Thread(target=send, daemon=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {'sent': sent, 'received': received}


QUEUE_OPERATIONS = {
    operation.__name__: operation
    for operation in (queue_put, queue_get, queue_call, queue_watch, queue_take, queue_unwatch, queue_documented)
}
