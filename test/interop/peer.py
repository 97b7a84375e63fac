"""The Python end of the interop test: drives the official SDK, unchanged, as it is told by lines of JSON.

Reads a question a line, {"op": ..., ...}, and answers with a line, {"result": ...} or {"error": {...}}. Numbers and bytes
come and go as the tagged values that values.mjs explains, since JSON has no NaN, no -0 and no 64-bit integers.
"""

import base64
import json
import os
import platform
import struct
import sys
from importlib.metadata import version

# The SDK logs to stdout, so the answers take the real one and all others get stderr.
ANSWERS = os.fdopen(os.dup(1), 'w', encoding='utf-8')
os.dup2(2, 1)

import numpy as np
import snappy
from google.protobuf.internal import api_implementation

import eas_prediction as eas
from eas_prediction import blade_pb2, blade_tf_request, easyrec_predict_pb2, onnx_processor_data_pb2
from eas_prediction import pytorch_predict_pb2, tf_request_pb2, torchrec_predict_pb2
from eas_prediction.easyrec_request import EasyRecRequest
from eas_prediction.torchrec_request import TorchRecRequest

# Python runs isolated, where the program's own folder is not searched. Last, so that nothing here hides a package.
sys.path.append(os.path.dirname(os.path.abspath(__file__)))
from queue_calls import QUEUE_OPERATIONS

REQUESTS = {
    'string': eas.StringRequest,
    'tf': eas.TFRequest,
    'torch': eas.TorchRequest,
    'blade': eas.BladeRequest,
    'bladeTf': blade_tf_request.TFRequest,
    'onnx': eas.OnnxRequest,
    'easyrec': EasyRecRequest,
    'torchrec': TorchRecRequest,
}

RESPONSES = {
    'tf': tf_request_pb2.PredictResponse,
    'torch': pytorch_predict_pb2.PredictResponse,
    'blade': blade_pb2.Response,
    'bladeTf': blade_pb2.Response,
    'onnx': onnx_processor_data_pb2.DataProto,
    'easyrec': easyrec_predict_pb2.PBResponse,
    'torchrec': torchrec_predict_pb2.PBResponse,
}

# Modules with the numbers of each format's dtypes.
DTYPES = {
    'tf': tf_request_pb2,
    'torch': pytorch_predict_pb2,
    'blade': blade_pb2,
    'bladeTf': blade_pb2,
    'easyrec': tf_request_pb2,
    'torchrec': pytorch_predict_pb2,
}


def decode(value, dtypes):
    """A tagged value as Python has it."""
    if isinstance(value, list):
        return [decode(element, dtypes) for element in value]
    if not isinstance(value, dict):
        return value
    (tag, content), = value.items()
    if tag == 'dtype':
        return getattr(dtypes, content)
    if tag == 'int':
        return int(content)
    if tag == 'ints':
        return [int(element) for element in content]
    if tag in ('float', 'floats', 'double', 'doubles'):
        memory = base64.b64decode(content)
        width, code = (4, 'f') if tag.startswith('float') else (8, 'd')
        numbers = list(struct.unpack('<%d%s' % (len(memory) // width, code), memory))
        return numbers if tag.endswith('s') else numbers[0]
    if tag == 'bytes':
        return base64.b64decode(content)
    if tag == 'bytesList':
        return [base64.b64decode(element) for element in content]
    if tag == 'map':
        return {decode(key, dtypes): decode(element, dtypes) for key, element in content}
    raise ValueError('tag %r' % tag)


def encode(value):
    """What the SDK gave, as a tagged value."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, int):
        return {'int': str(value)}
    if isinstance(value, float):
        return {'double': base64.b64encode(struct.pack('<d', value)).decode()}
    if isinstance(value, bytes):
        return {'bytes': base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray):
        return {'shape': encode([int(size) for size in value.shape]), 'values': encode(value.reshape(-1).tolist())}
    return [encode(element) for element in value]


# Steps that the SDK's classes have no method for; its users do the same by its protobuf classes.
def easyrec_item_id(request, item_id):
    request.request_data.item_ids.append(item_id)


def easyrec_long(request, name, value):
    request.request_data.user_features[name].long_feature = value


def onnx_array(request, name, shape, dtype, memory):
    """By the SDK's own helper, out of a numpy array."""
    array = np.frombuffer(memory, np.dtype(dtype).newbyteorder('<')).astype(dtype, copy=False).reshape(shape)
    request.add_tensor(eas.OnnxDataHelper.from_array(array, name))


def onnx_tensor(request, name, shape, dtype, memory):
    """By hand: the helper knows no FLOAT16."""
    tensor = onnx_processor_data_pb2.TensorProto(name=name, dims=shape, raw_data=memory)
    tensor.data_type = getattr(onnx_processor_data_pb2.TensorProto, dtype)
    request.add_tensor(tensor)


STEPS = {
    'easyrec_item_id': easyrec_item_id,
    'easyrec_long': easyrec_long,
    'onnx_array': onnx_array,
    'onnx_tensor': onnx_tensor,
}


def build(format, new, steps):
    """A request of the SDK's own class, filled step by step."""
    dtypes = DTYPES.get(format)
    request = REQUESTS[format](*decode(new, dtypes))
    for name, *arguments in steps:
        arguments = decode(arguments, dtypes)
        if name in STEPS:
            STEPS[name](request, *arguments)
        else:
            getattr(request, name)(*arguments)
    return request


def fill(message, fields, dtypes):
    """Sets fields of a protobuf message: {"name": value}, a nested message as {"name": {"message": fields}}."""
    for name, value in fields.items():
        target = getattr(message, name)
        if isinstance(value, dict) and 'message' in value:
            target.SetInParent()
            fill(target, value['message'], dtypes)
        elif isinstance(value, dict) and 'messages' in value:
            for element in value['messages']:
                fill(target.add(), element, dtypes)
        elif isinstance(value, dict) and 'messageMap' in value:
            for key, element in value['messageMap']:
                target.get_or_create(key)
                fill(target[key], element, dtypes)
        elif isinstance(value, dict) and 'map' in value:
            target.update(decode(value, dtypes))
        elif hasattr(target, 'extend'):
            target.extend(decode(value, dtypes))
        else:
            setattr(message, name, decode(value, dtypes))


CLIENTS = {}


def client_of(endpoint, service, token, custom_url):
    """One client a service, as a program would have it."""
    key = (endpoint, service, token, custom_url)
    if key not in CLIENTS:
        client = eas.PredictClient(endpoint, service, custom_url)
        client.set_token(token)
        client.init()
        CLIENTS[key] = client
    return CLIENTS[key]


def read(response, path):
    """Follows a path of names, keys and calls from a response: ["get_values", ["labels"]]."""
    value = response
    for step in path:
        if isinstance(step, list):
            value = value(*[decode(argument, blade_pb2) for argument in step])
        elif isinstance(step, dict):
            value = value[decode(step['at'], None)]
        else:
            value = getattr(value, step)
    if isinstance(value, onnx_processor_data_pb2.TensorProto):
        value = eas.OnnxDataHelper.to_array(value)
    return encode(value)


def hello(_):
    return {
        'sdk': version('eas-prediction'),
        'python': platform.python_version(),
        'protobuf': '%s, %s' % (version('protobuf'), api_implementation.Type()),
    }


def predict(question):
    client = client_of(question['endpoint'], question['service'], question['token'], question['customUrl'])
    response = client.predict(build(question['format'], question['new'], question['steps']))
    return [read(response, path) for path in question['reads']]


def serialize(question):
    return encode(bytes(build(question['format'], question['new'], question['steps']).to_string()))


def respond(question):
    message = RESPONSES[question['format']]()
    fill(message, question['fields'], DTYPES.get(question['format']))
    return encode(message.SerializeToString())


def unsnappy(question):
    return encode(snappy.decompress(decode(question['body'], None)))


OPERATIONS = {operation.__name__: operation for operation in (hello, predict, serialize, respond, unsnappy)}
OPERATIONS.update(QUEUE_OPERATIONS)


def answer(question):
    try:
        return {'result': OPERATIONS[question['op']](question)}
    except Exception as error:
        details = {'type': type(error).__name__, 'message': str(error)}
        if isinstance(error, eas.PredictException):
            details['code'] = error.code
        return {'error': details}


for line in sys.stdin:
    ANSWERS.write(json.dumps(answer(json.loads(line))) + '\n')
    ANSWERS.flush()
