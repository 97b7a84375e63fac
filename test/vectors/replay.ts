import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { expect, vi } from "vitest";
import { snappy } from "../../src/compression/snappy.js";
import { PredictRequestSchema as TFMessage } from "../../src/gen/eas/tf/tf_pb.js";
import { PredictRequestSchema as TorchMessage } from "../../src/gen/eas/torch/torch_pb.js";
import {
  BladeRequest,
  BladeResponse,
  BladeTFRequest,
  BladeTFResponse,
  EasDecodeError,
  type HeaderPair,
  OnnxRequest,
  OnnxResponse,
  PredictClient,
  type PredictClientOptions,
  type PredictRequest,
  StringRequest,
  StringResponse,
  TFRequest,
  TFResponse,
  TorchRequest,
  TorchResponse,
  type TransportRequest,
  tensor,
} from "../../src/index.js";
import { RecordingTransport, thrownBy, transportAnswer } from "../support/calls.js";

// Replays the recorded calls of the official Python SDK through this SDK. The first element of `python-sdk.json` explains
// the encodings of the record.

export interface Vector {
  readonly name: string;
  readonly kind: string;
  readonly bodyHex?: string;
}

export type Step = readonly [name: string, ...args: unknown[]];

export interface ClientRecord {
  readonly endpoint: string;
  readonly service: string;
  readonly token: string;
  /** Local time of the recording, which Python sends as GMT. */
  readonly clock: string;
  readonly content_type?: string;
  readonly extra_headers?: unknown;
  readonly custom_url?: string;
}

export interface RequestVector extends Vector {
  readonly call: { readonly client: ClientRecord; readonly steps: readonly Step[] };
  readonly method: string;
  readonly url: string;
  readonly headers: readonly HeaderPair[];
  readonly bodyHex: string;
  readonly orderInsensitive?: true;
  /** Uncompressed bytes, if `bodyHex` was compressed with snappy. */
  readonly uncompressedHex?: string;
}

export interface SignatureVector extends Vector {
  readonly token: string;
  readonly service: string;
  readonly contentType: string;
  readonly extraHeaders: Readonly<Record<string, string>>;
  readonly customUrl: string;
  readonly clock: string;
  readonly bodyHex: string;
  readonly headers: readonly HeaderPair[];
}

export interface ResponseVector extends Vector {
  readonly decoder:
    | "TFResponse"
    | "TorchResponse"
    | "StringResponse"
    | "BladeResponse"
    | "blade_tf_request.TFResponse"
    | "OnnxResponse";
  readonly bodyHex: string;
  /** Results of the accessors; absent if decoding failed with `error`. */
  readonly reads?: readonly { readonly call: Step; readonly result?: unknown; readonly error?: unknown }[];
  readonly error?: unknown;
}

/** The contents of the record. */
export const RECORD: readonly Vector[] = JSON.parse(
  readFileSync(new URL("python-sdk.json", import.meta.url), "utf8"),
) as Vector[];

/** Vectors from which this SDK's bytes or headers differ, with the reason. `requests.test.ts` tests its own behavior. */
export const SKIPPED_REQUESTS = {
  "string/no-token": "this SDK sends Content-Type without a token too",
  "string/content-type-no-token": "Python drops the content type that was set when there is no token",
  "string/custom-url-no-token": "this SDK sends Content-Type without a token too",
  "string/extra-header-authorization-overwritten": "this SDK rejects an Authorization header in addition to a token",
  "string/service-with-query": "this SDK rejects a query in the service name",
  "string/service-trailing-space": "this SDK rejects a trailing space in the service name",
  "string/endpoint-double-trailing-slash": "Python removes only one slash; this SDK removes all",
  "string/endpoint-https": "Python requests http://https://…; this SDK uses https",
  "tf/float-overflow-boundary": "protobuf in C++ rounds FLT_MAX + ½ ulp down; this SDK rounds like IEEE 754",
  "tf/uint16-negative": "this SDK rejects values that the dtype cannot hold",
  "tf/empty-shape-and-content": "shape [] is one element; this SDK rejects a length that does not match the shape",
  "tf/shape-negative-dim": "this SDK rejects negative dimensions",
  "tf/shape-large-dim": "this SDK rejects a length that does not match the shape",
  "tf/no-feed": "Python sends the signature name only with a feed; this SDK keeps it",
  "tf/no-feed-fetch": "Python sends the signature name only with a feed; this SDK keeps it",
  "tf/same-name-twice-appends": "Python merges two feeds of the same name; this SDK replaces the first",
  "blade/scalar-float-volume-mismatch":
    "Python silently drops the value; this SDK rejects values that do not match the shape",
} as const;

/** Signature vectors from which this SDK differs. `signatures.test.ts` tests its own behavior. */
export const SKIPPED_SIGNATURES = {
  "sign/service-trailing-space": "this SDK rejects a trailing space in the service name",
  "sign/service-trailing-newline": "this SDK rejects a line break in the service name",
} as const;

/** Response vectors from which this SDK differs. `responses.test.ts` tests its own behavior. */
export const SKIPPED_RESPONSES = {
  "resp/tf/uint8": "Python returns None for UINT8; this SDK reads it, and rejects the value -5",
  "resp/tf/dtype-unknown-enum": "Python returns None; this SDK reports an unknown dtype",
  "resp/tf/dtype-absent": "Python returns None; this SDK reports a missing dtype",
  "resp/tf/dim-large": "this SDK rejects impossible dimensions",
  "resp/tf/field-zero": "protobuf in C++ stops reading without an error; this SDK throws, like protobuf in Python",
  "resp/tf/stray-end-group": "protobuf in C++ stops reading without an error; this SDK throws, like protobuf in Python",
  "resp/torch/bool": "Python returns None; this SDK reports values in a field of another dtype",
  "resp/torch/map-bool": "Python returns None; this SDK reports values in a field of another dtype",
  "resp/torch/string": "Python returns None; this SDK reads STRING",
  "resp/torch/map-string": "Python returns None; this SDK reads STRING",
  "resp/torch/empty": "Python returns an empty shape and None for an unknown name; this SDK throws",
  "resp/blade/int32":
    "Python returns [] for a dtype that differs from the output's; this SDK reports the output's dtype",
  "resp/blade/int64":
    "Python returns [] for a dtype that differs from the output's; this SDK reports the output's dtype",
  "resp/blade-tf/no-values":
    "Python reports that the output does not exist; this SDK reports an empty output with its shape",
  "resp/onnx/float16": "Python fails; this SDK reads FLOAT16",
  "resp/onnx/dims-minus-one": "Python infers a dimension of -1; this SDK rejects impossible dimensions",
  "resp/string/utf8": "Python returns the repr of the bytes; this SDK returns the text",
} as const;

/** Queue vectors from which this SDK differs. `queue.test.ts` tests its own behavior. */
export const SKIPPED_QUEUE = {
  "queue/put-str-latin1": "Python encodes strings as Latin-1; this SDK uses UTF-8",
  "queue/put-tags-awkward": "Python accepts a number as a tag's value; this SDK requires a string",
  "queue/put-no-token": "Python sends an empty Authorization header; this SDK omits it",
  "queue/get-tags-override": "in Python, tags can replace the service's own parameters; this SDK rejects such names",
  "queue/search-float": "Python sends the float as 5.0; this SDK sends 5",
  "queue/search-negative": "Python returns an empty result without a request; this SDK throws",
  "queue/search-text": "Python returns an empty result without a request; this SDK throws",
  "queue/delete-empty": "Python sends an empty list; this SDK sends nothing",
  "resp/dataframe/invalid-utf8-tag": "Python fails; this SDK replaces invalid UTF-8 by U+FFFD",
} as const;

/** All vectors that are not replayed, with the reasons. */
export const SKIPPED: Readonly<Record<string, string>> = {
  ...SKIPPED_REQUESTS,
  ...SKIPPED_SIGNATURES,
  ...SKIPPED_RESPONSES,
  ...SKIPPED_QUEUE,
};

/** Families of queue vectors: requests and response messages. */
const isQueue = ({ name }: Vector): boolean => /^(queue|codec|resp\/dataframe(list)?)\//.test(name);

/** Families of direct-connection vectors: discovery and load balancing. */
const isDirect = ({ name }: Vector): boolean => /^(discovery|wrr)\//.test(name);

/** All vectors that these tests cover. */
export const OURS = RECORD.filter(
  (vector) =>
    isQueue(vector) || isDirect(vector) || /^(sign|(resp\/)?(string|tf|torch|blade|blade-tf|onnx))\//.test(vector.name),
);

/** Returns the vectors of a kind that are replayed here. */
function replayed<V extends Vector>(kind: string): V[] {
  return OURS.filter(
    (vector) => !isQueue(vector) && !isDirect(vector) && vector.kind === kind && !Object.hasOwn(SKIPPED, vector.name),
  ) as V[];
}

export const REQUESTS: readonly RequestVector[] = replayed("request");
export const BUILD_ERRORS: readonly RequestVector[] = replayed("build-error");
export const SIGNATURES: readonly SignatureVector[] = replayed("signature");
export const RESPONSES: readonly ResponseVector[] = replayed("response");

export interface QueueVector extends Vector {
  readonly call: {
    readonly client: Omit<ClientRecord, "clock"> & {
      readonly uid: string;
      readonly gid: string;
      readonly path_suffix?: string;
    };
    readonly op: "put" | "get" | "search" | "truncate" | "delete" | "commit" | "watch";
    readonly args: readonly unknown[];
    readonly kwargs: Readonly<Record<string, unknown>>;
  };
  /** Result of the official SDK's method. */
  readonly returns?: unknown;
  /** The first frame of a watch. */
  readonly firstYield?: FrameRecord;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly HeaderPair[];
  readonly bodyHex: string;
}

export interface FrameRecord {
  readonly index: unknown;
  readonly tags: unknown;
  readonly data: unknown;
  readonly message: string;
}

export interface FrameVector extends Vector {
  readonly decoder: "DataFrameCodec.decode" | "DataFrameListCodec.decode";
  readonly bodyHex: string;
  readonly reads?: readonly { readonly call: string; readonly result: unknown }[];
  readonly error?: unknown;
}

/** The queue vectors that are replayed. */
export const QUEUE = OURS.filter((vector) => isQueue(vector) && !Object.hasOwn(SKIPPED, vector.name));

/** Requests to discovery and to an instance. */
export interface DiscoveryVector extends Vector {
  readonly call: {
    readonly endpoint?: string;
    readonly service?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly client?: ClientRecord;
  };
  readonly method: string;
  readonly url: string;
  readonly headers: readonly HeaderPair[];
  readonly bodyHex: string;
  /** The instance that the official SDK selected. */
  readonly endpointGet?: string;
}

export const DISCOVERY = OURS.filter(({ name }) => name.startsWith("discovery/")) as DiscoveryVector[];

/** The selected instances for a list of weights. */
export interface TurnsVector extends Vector {
  readonly weights: readonly (readonly [name: string, weight: number])[];
  readonly sequence: readonly (string | null)[];
}

export const TURNS = OURS.filter(({ name }) => name.startsWith("wrr/")) as TurnsVector[];

/** Returns the vector with a name. Throws if it does not exist. */
export function vectorNamed<V extends Vector>(name: string): V {
  const vector = RECORD.find((vector) => vector.name === name);
  if (vector === undefined) throw new Error(`there is no vector ${name}`);
  return vector as V;
}

export const fromHex = (hex: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(hex, "hex"));
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const NUMPY: Readonly<Record<string, (data: never[]) => unknown>> = {
  float32: (data) => Float32Array.from(data),
  float64: (data) => Float64Array.from(data),
  int8: (data) => Int8Array.from(data),
  int16: (data) => Int16Array.from(data),
  int32: (data) => Int32Array.from(data),
  int64: (data) => BigInt64Array.from(data, BigInt),
  uint8: (data) => Uint8Array.from(data),
  uint16: (data) => Uint16Array.from(data),
  uint32: (data) => Uint32Array.from(data),
  uint64: (data) => BigUint64Array.from(data, BigInt),
  bool: (data) => data,
};

/** A numpy array of the record. `decode` ignores its shape. */
interface NumpyArray {
  readonly $np: string;
  readonly shape: readonly number[];
}

function isNumpy(value: unknown): value is NumpyArray {
  return typeof value === "object" && value !== null && "$np" in value;
}

/** Converts a value of the record to JavaScript. */
export function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== "object" || value === null) return value;
  const [[key, held]] = Object.entries(value) as [[string, unknown]];
  switch (key) {
    case "$int":
      return BigInt(held as string);
    case "$f":
      return Number(held);
    case "$bytes":
      return fromHex(held as string);
    case "$map":
      return new Map(decode(held) as [unknown, unknown][]);
    case "$np": {
      const array = NUMPY[held as string];
      if (array === undefined) throw new Error(`no numpy dtype ${held}`);
      return array(decode((value as { data: unknown }).data) as never[]);
    }
    default:
      throw new Error(`no encoding ${key}`);
  }
}

type AnyClass = (new (...args: unknown[]) => object) & Readonly<Record<string, unknown>>;
type Methods = Readonly<Record<string, (...args: unknown[]) => unknown>>;

const REQUEST_CLASSES: Readonly<Record<string, AnyClass>> = {
  StringRequest,
  TFRequest,
  TorchRequest,
  BladeRequest,
  "blade_tf_request.TFRequest": BladeTFRequest,
  OnnxRequest,
} as never;

export const camelCase = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Calls this SDK's method that corresponds to `name` in the official SDK. */
function invoke(target: object, name: string, args: readonly unknown[]): unknown {
  const method = (target as Methods)[camelCase(name)];
  if (method === undefined) throw new Error(`there is no method ${camelCase(name)}`);
  return method.apply(target, [...args]);
}

/** Builds the request of a vector by the same steps as the official SDK. */
export function build(steps: readonly Step[]): PredictRequest<unknown> | Uint8Array {
  const [[, className, ...given], ...rest] = steps as [Step, ...Step[]];
  const Class = REQUEST_CLASSES[className as string];
  if (Class === undefined) throw new Error(`there is no class ${className}`);
  const [first] = given.map(decode);
  // Bytes need no request object here. The flag of a TorchRequest selects snappy, which does not affect the bytes before
  // compression.
  if (first instanceof Uint8Array) return first;
  const request = new Class(...(first === undefined || first === true ? [] : [first]));
  for (const [name, ...args] of rest) {
    if (request instanceof OnnxRequest) addNumpyArray(request, name, args);
    else invoke(request, name, decodeFeed(Class, args));
  }
  return request as PredictRequest<unknown>;
}

/** Converts a numpy array. Python needs a helper for the tensor; here the typed array determines the dtype. */
function addNumpyArray(request: OnnxRequest, name: string, [array, inputName]: readonly unknown[]): void {
  if (name !== "add_tensor(from_array)" || !isNumpy(array)) throw new Error(`there is no step ${name}`);
  request.addTensor(inputName as string, tensor(array.shape, decode(array) as Float32Array));
}

/** Returns the arguments of a step. A dtype is the static property of that name. */
function decodeFeed(Class: AnyClass, args: readonly unknown[]): unknown[] {
  const decoded = args.map((arg) => {
    const dtype = (arg as { $dt?: string } | undefined)?.$dt;
    return dtype === undefined ? decode(arg) : Class[dtype];
  });
  // Blade's methods have a batch size before the shape.
  const at = args.findIndex((arg) => typeof arg === "object" && arg !== null && "$dt" in arg);
  const [shape, dtype, content] = at < 1 ? [] : decoded.slice(at - 1);
  // Large integers are bigints here. Python converts them to doubles if doubles are expected, and a JavaScript caller would
  // pass doubles, too. Dimensions are numbers.
  if (Array.isArray(shape)) decoded[at - 1] = shape.map(Number);
  if (dtype === "DT_DOUBLE" && Array.isArray(content)) decoded[at + 1] = content.map(Number);
  return decoded;
}

/** Runs `act` with the clock set to the vector's time, as UTC. */
export async function atClock<T>(clock: string, act: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ["Date"], now: new Date(`${clock}Z`) });
  try {
    return await act();
  } finally {
    vi.useRealTimers();
  }
}

/** Returns this SDK's options for the settings of an official client. */
export function optionsOf(record: ClientRecord): PredictClientOptions {
  const { endpoint, service, token, content_type, custom_url, extra_headers } = record;
  return {
    endpoint,
    serviceName: service,
    ...(token !== "" && { token }),
    customUrl: custom_url,
    contentType: content_type,
    headers: extra_headers === undefined ? undefined : (decode(extra_headers) as Map<string, string>),
  };
}

/** Runs a call without a network and returns the request that the client sends. */
export async function capture(
  record: ClientRecord,
  request: PredictRequest<unknown> | Uint8Array,
  options: PredictClientOptions = {},
): Promise<TransportRequest> {
  const transport = new RecordingTransport(() => transportAnswer(200));
  await atClock(record.clock, async () => {
    const client = new PredictClient({ ...optionsOf(record), ...options, transport });
    await client.predict(request as PredictRequest<unknown>);
    await client.close();
  });
  expect(transport.requests).toHaveLength(1);
  return transport.requests[0] as TransportRequest;
}

/** Sends the request of a vector. */
export const send = ({ call, uncompressedHex }: RequestVector): Promise<TransportRequest> =>
  capture(call.client, build(call.steps), uncompressedHex === undefined ? {} : { compression: snappy });

/** Returns the headers for authentication and content. `Date` is sent only with a signature. */
export function provingHeaders(headers: readonly HeaderPair[]): Record<string, string> {
  const all = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
  const signed = all.get("authorization")?.startsWith("EAS ") === true;
  const names = ["content-type", "authorization", "content-md5", ...(signed ? ["date"] : [])];
  return Object.fromEntries(names.flatMap((name) => (all.has(name) ? [[name, all.get(name) as string]] : [])));
}

/** Returns the headers that a vector's user added. */
function addedHeaders({ call }: RequestVector): HeaderPair[] {
  const added = decode(call.client.extra_headers ?? { $map: [] }) as Map<string, string>;
  return [...added].map(([name, value]) => [name.toLowerCase(), value]);
}

/** Sends the request of a vector and compares it with the official SDK's request. */
export async function replayRequest(vector: RequestVector): Promise<void> {
  expectSame(vector, await send(vector));
}

/** Decompresses snappy like the service. */
const unsnapped = (body: Uint8Array): Uint8Array =>
  snappy.decompress?.(body, { maxBytes: 1_000_000, headers: new Headers() }) as Uint8Array;

/** Compares a request with that of the vector. */
export function expectSame(vector: RequestVector, sent: TransportRequest): void {
  const theirs = provingHeaders(vector.headers);
  const ours = provingHeaders(sent.headers);
  expect(sent.method).toBe(vector.method);
  expect(sent.path).toBe(vector.url);
  const url = vector.call.client.custom_url ?? vector.call.client.endpoint.replace(/^(?!http)/, "http://");
  expect(sent.origin).toBe(new URL(url).origin);
  for (const [name, value] of addedHeaders(vector)) expect(new Map(sent.headers).get(name)).toBe(value);
  if (vector.orderInsensitive) {
    const schema = vector.name.startsWith("tf/") ? TFMessage : TorchMessage;
    const message = fromBinary<typeof TFMessage | typeof TorchMessage>(schema, sent.body as Uint8Array);
    expect(message).toEqual(fromBinary<typeof TFMessage | typeof TorchMessage>(schema, fromHex(vector.bodyHex)));
  } else if (vector.uncompressedHex !== undefined) {
    expect(toHex(unsnapped(sent.body as Uint8Array))).toBe(vector.uncompressedHex);
    expect(toHex(unsnapped(fromHex(vector.bodyHex)))).toBe(vector.uncompressedHex);
  } else {
    expect(toHex(sent.body as Uint8Array)).toBe(vector.bodyHex);
  }
  if (vector.orderInsensitive || vector.uncompressedHex !== undefined) {
    // The hash and the signature depend on the order of the bytes, which is not fixed, as are the back references of snappy.
    for (const name of ["content-md5", "authorization"]) {
      expect(ours[name]).toMatch(name === "content-md5" ? /^[0-9a-f]{32}$/ : /^EAS [A-Za-z0-9+/]{27}=$/);
      delete ours[name];
      delete theirs[name];
    }
  }
  expect(ours).toEqual(theirs);
}

/** Sends the body of a signature vector and compares the authentication headers. */
export async function replaySignature(vector: SignatureVector): Promise<void> {
  const { token, service, contentType, extraHeaders, customUrl, clock, bodyHex } = vector;
  const record = { endpoint: "http://h", service, token, clock };
  const { headers, method } = await capture(record, fromHex(bodyHex), {
    customUrl,
    headers: extraHeaders,
    contentType: contentType === "" ? undefined : contentType,
  });
  expect(method).toBe("POST");
  expect(provingHeaders(headers)).toEqual(provingHeaders(vector.headers));
}

const RESPONSE_CLASSES: Readonly<Record<ResponseVector["decoder"], new (body: Uint8Array<ArrayBuffer>) => object>> = {
  TFResponse,
  TorchResponse,
  StringResponse,
  BladeResponse,
  "blade_tf_request.TFResponse": BladeTFResponse,
  OnnxResponse,
};

/** Converts a dtype to Blade's number. Other values are returned unchanged. */
const BLADE_DTYPES = [undefined, "DT_FLOAT", "DT_INT32", "DT_INT64", "DT_STRING"] as const;

/** Returns the error of this SDK that corresponds to one of the official SDK. */
const ERRORS: Readonly<Record<string, { name: string; code: string }>> = {
  // The output does not exist.
  IndexError: { name: "RangeError", code: "ERR_EAS_ARG_OUTPUT" },
  AssertionError: { name: "RangeError", code: "ERR_EAS_ARG_OUTPUT" },
  // The official SDK fails while it formats its own error message for a wrong dtype.
  NameError: { name: "TypeError", code: "ERR_EAS_ARG_DTYPE" },
  // numpy cannot create an array from it.
  TypeError: { name: "EasDecodeError", code: "ERR_EAS_DECODE" },
  ValueError: { name: "EasDecodeError", code: "ERR_EAS_DECODE" },
};

/** Parses the response of a vector. */
export function decoded<R>(vector: ResponseVector): R {
  return new RESPONSE_CLASSES[vector.decoder](fromHex(vector.bodyHex)) as R;
}

/** Parses a vector's response and compares the results of the accessors. */
export function replayResponse(vector: ResponseVector): void {
  if (vector.reads === undefined) {
    expect(vector.error).toBeDefined();
    expect(thrownBy(() => decoded(vector))).toBeInstanceOf(EasDecodeError);
    return;
  }
  const response = decoded<object>(vector);
  for (const { call, result, error } of vector.reads) {
    const read = () => readAs(response, call);
    if (error !== undefined) {
      const ours = ERRORS[(error as { class: string }).class];
      if (ours === undefined) throw new Error(`${vector.name}: what ours throws instead is not written down`);
      expect(thrownBy(read)).toMatchObject(ours);
    } else if (isNumpy(result)) {
      expect(read()).toMatchObject({ shape: result.shape, data: decode(result) });
    } else {
      const expected = decode(result);
      if (expected === null || expected === undefined)
        throw new Error(`${vector.name}: Python read nothing, so there is nothing to compare`);
      if (Array.isArray(expected)) expect(plain(read())).toEqual(expected.map(comparable));
      else expect(read()).toBe(expected);
    }
  }
}

/** Calls the accessor that corresponds to one of the official SDK, which has other names and numbers for dtypes. */
function readAs(response: object, [name, ...args]: Step): unknown {
  // A helper of the official SDK that converts the result of the accessor to a numpy array.
  if (name === "OnnxDataHelper.to_array") return readAs(response, args[0] as Step);
  const [output, dtype] = args;
  if (typeof dtype === "number") return invoke(response, name, [output, BLADE_DTYPES[dtype] ?? dtype]);
  return invoke(response, name, args);
}

/** Converts an array to the form of the record, where 64-bit integers are strings and smaller integers are numbers. */
function plain(values: unknown): unknown[] {
  return Array.from(values as ArrayLike<unknown>, comparable);
}

function comparable(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : `${value}`;
  return value instanceof Uint8Array ? toHex(value) : value;
}
