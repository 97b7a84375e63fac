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

// What the official Python SDK did, replayed through this SDK. `python-sdk.json` is the record, whose first element
// explains the encodings; this file reads it and compares.

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
  /** Local time of the record, which Python sends as GMT. */
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
  /** What was given to snappy, where `bodyHex` is what came of it. */
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
  /** What the accessors gave; absent where the decoder itself failed, which is then in `error`. */
  readonly reads?: readonly { readonly call: Step; readonly result?: unknown; readonly error?: unknown }[];
  readonly error?: unknown;
}

/** The record as it is in the file. */
export const RECORD: readonly Vector[] = JSON.parse(
  readFileSync(new URL("python-sdk.json", import.meta.url), "utf8"),
) as Vector[];

/** Vectors whose bytes or headers ours are not to equal, and why; `requests.test.ts` shows what ours does instead. */
export const SKIPPED_REQUESTS = {
  "string/no-token": "ours sends Content-Type without a token too",
  "string/content-type-no-token": "Python drops the content type that was set when there is no token",
  "string/custom-url-no-token": "ours sends Content-Type without a token too",
  "string/extra-header-authorization-overwritten": "ours refuses an Authorization header beside a token",
  "string/service-with-query": "ours refuses a query in the service name",
  "string/service-trailing-space": "ours refuses a blank at the end of the service name",
  "string/endpoint-double-trailing-slash": "Python removes one slash only; ours removes all",
  "string/endpoint-https": "Python asks http://https://…; ours speaks https",
  "tf/float-overflow-boundary": "protobuf in C++ rounds FLT_MAX + ½ ulp down; ours rounds as IEEE 754 does",
  "tf/uint16-negative": "ours refuses values that the dtype cannot hold",
  "tf/empty-shape-and-content": "shape [] is one element; ours refuses a length that does not fit the shape",
  "tf/shape-negative-dim": "ours refuses negative dimensions",
  "tf/shape-large-dim": "ours refuses a length that does not fit the shape",
  "tf/no-feed": "Python sends the signature name only with a feed; ours keeps it",
  "tf/no-feed-fetch": "Python sends the signature name only with a feed; ours keeps it",
  "tf/same-name-twice-appends": "Python mixes two feeds of a name into one; ours replaces",
  "blade/scalar-float-volume-mismatch": "Python drops the value in silence; ours refuses what does not fit the shape",
} as const;

/** As above; `signatures.test.ts` shows what ours does instead. */
export const SKIPPED_SIGNATURES = {
  "sign/service-trailing-space": "ours refuses a blank at the end of the service name",
  "sign/service-trailing-newline": "ours refuses a line break in the service name",
} as const;

/** As above; `responses.test.ts` shows what ours does instead. */
export const SKIPPED_RESPONSES = {
  "resp/tf/uint8": "Python reads no UINT8 (None); ours does, and refuses the -5 that is in it",
  "resp/tf/dtype-unknown-enum": "Python gives None; ours says that it does not know the dtype",
  "resp/tf/dtype-absent": "Python gives None; ours says that there is no dtype",
  "resp/tf/dim-large": "ours refuses dimensions that no array can have",
  "resp/tf/field-zero": "protobuf in C++ stops reading without an error; ours fails, as protobuf in Python does",
  "resp/tf/stray-end-group": "protobuf in C++ stops reading without an error; ours fails, as protobuf in Python does",
  "resp/torch/bool": "Python gives None; ours says that the values are in a field of another dtype",
  "resp/torch/map-bool": "Python gives None; ours says that the values are in a field of another dtype",
  "resp/torch/string": "Python gives None; ours reads STRING",
  "resp/torch/map-string": "Python gives None; ours reads STRING",
  "resp/torch/empty": "Python gives an empty shape and None for a name that is not there; ours says that it is not",
  "resp/blade/int32": "Python gives [] for another dtype than the output's; ours says which it is",
  "resp/blade/int64": "Python gives [] for another dtype than the output's; ours says which it is",
  "resp/blade-tf/no-values":
    "Python says that there is no such output; ours says that it is empty, and gives its shape",
  "resp/onnx/float16": "Python fails; ours reads FLOAT16",
  "resp/onnx/dims-minus-one": "Python infers a dimension of -1; ours refuses dimensions that no array can have",
  "resp/string/utf8": "Python gives the repr of the bytes; ours gives the text",
} as const;

/** As above; `queue.test.ts` shows what ours does instead. */
export const SKIPPED_QUEUE = {
  "queue/put-str-latin1": "Python sends text as Latin-1; ours sends UTF-8",
  "queue/put-tags-awkward": "Python takes a number as a tag's value; ours wants text",
  "queue/put-no-token": "Python sends an empty Authorization; ours sends none",
  "queue/get-tags-override": "in Python tags can replace the service's own parameters; ours refuses such names",
  "queue/search-float": "Python sends the float as 5.0; ours sends 5",
  "queue/search-negative": "Python gives an empty answer without asking; ours says what is wrong",
  "queue/search-text": "Python gives an empty answer without asking; ours says what is wrong",
  "queue/delete-empty": "Python sends an empty list; ours sends nothing, as there is nothing to do",
  "resp/dataframe/invalid-utf8-tag": "Python fails; ours reads the rest, with U+FFFD for what is no UTF-8",
} as const;

/** All vectors that are not replayed, with the reasons. */
export const SKIPPED: Readonly<Record<string, string>> = {
  ...SKIPPED_REQUESTS,
  ...SKIPPED_SIGNATURES,
  ...SKIPPED_RESPONSES,
  ...SKIPPED_QUEUE,
};

/** Vectors of the queue service: requests, and the messages that it answers with. */
const isQueue = ({ name }: Vector): boolean => /^(queue|codec|resp\/dataframe(list)?)\//.test(name);

/** Vectors of direct connections: how instances are found, and whose turn it is. */
const isDirect = ({ name }: Vector): boolean => /^(discovery|wrr)\//.test(name);

/** The vectors that these tests answer for. */
export const OURS = RECORD.filter(
  (vector) =>
    isQueue(vector) || isDirect(vector) || /^(sign|(resp\/)?(string|tf|torch|blade|blade-tf|onnx))\//.test(vector.name),
);

/** Those of a kind that are replayed; what other files do with the rest is their matter. */
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
  /** What the official SDK gave its caller. */
  readonly returns?: unknown;
  /** The first frame that a watch gave. */
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

/** Those of the queue service that are replayed. */
export const QUEUE = OURS.filter((vector) => isQueue(vector) && !Object.hasOwn(SKIPPED, vector.name));

/** Requests to discovery, and one to an instance. */
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
  /** The instance that the official SDK took. */
  readonly endpointGet?: string;
}

export const DISCOVERY = OURS.filter(({ name }) => name.startsWith("discovery/")) as DiscoveryVector[];

/** Whose turn it is, by weights. */
export interface TurnsVector extends Vector {
  readonly weights: readonly (readonly [name: string, weight: number])[];
  readonly sequence: readonly (string | null)[];
}

export const TURNS = OURS.filter(({ name }) => name.startsWith("wrr/")) as TurnsVector[];

/** The vector of a name; fails when there is none. */
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

/** A numpy array of the record, whose shape `decode` leaves out. */
interface NumpyArray {
  readonly $np: string;
  readonly shape: readonly number[];
}

function isNumpy(value: unknown): value is NumpyArray {
  return typeof value === "object" && value !== null && "$np" in value;
}

/** A value of the record as JavaScript has it. */
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

/** Calls the method of ours that the official SDK has as `name`. */
function invoke(target: object, name: string, args: readonly unknown[]): unknown {
  const method = (target as Methods)[camelCase(name)];
  if (method === undefined) throw new Error(`there is no method ${camelCase(name)}`);
  return method.apply(target, [...args]);
}

/** Makes the request of a vector by the steps that the official SDK took. */
export function build(steps: readonly Step[]): PredictRequest<unknown> | Uint8Array {
  const [[, className, ...given], ...rest] = steps as [Step, ...Step[]];
  const Class = REQUEST_CLASSES[className as string];
  if (Class === undefined) throw new Error(`there is no class ${className}`);
  const [first] = given.map(decode);
  // Bytes need no request object here. The flag of a TorchRequest stands for snappy, which has no effect on the bytes
  // before compression.
  if (first instanceof Uint8Array) return first;
  const request = new Class(...(first === undefined || first === true ? [] : [first]));
  for (const [name, ...args] of rest) {
    if (request instanceof OnnxRequest) addNumpyArray(request, name, args);
    else invoke(request, name, decodeFeed(Class, args));
  }
  return request as PredictRequest<unknown>;
}

/** Python makes a tensor of a numpy array by a helper; here a typed array says its dtype by itself. */
function addNumpyArray(request: OnnxRequest, name: string, [array, inputName]: readonly unknown[]): void {
  if (name !== "add_tensor(from_array)" || !isNumpy(array)) throw new Error(`there is no step ${name}`);
  request.addTensor(inputName as string, tensor(array.shape, decode(array) as Float32Array));
}

/** The arguments of a step; a dtype is the static of that name. */
function decodeFeed(Class: AnyClass, args: readonly unknown[]): unknown[] {
  const decoded = args.map((arg) => {
    const dtype = (arg as { $dt?: string } | undefined)?.$dt;
    return dtype === undefined ? decode(arg) : Class[dtype];
  });
  // Blade has a batch size before the shape.
  const at = args.findIndex((arg) => typeof arg === "object" && arg !== null && "$dt" in arg);
  const [shape, dtype, content] = at < 1 ? [] : decoded.slice(at - 1);
  // Large integers are bigints here. Python makes doubles of them where doubles are wanted; so does whoever writes
  // them in JavaScript. Dimensions are numbers.
  if (Array.isArray(shape)) decoded[at - 1] = shape.map(Number);
  if (dtype === "DT_DOUBLE" && Array.isArray(content)) decoded[at + 1] = content.map(Number);
  return decoded;
}

/** Sets the clock to the one of a vector, as UTC, for what `act` starts. */
export async function atClock<T>(clock: string, act: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ["Date"], now: new Date(`${clock}Z`) });
  try {
    return await act();
  } finally {
    vi.useRealTimers();
  }
}

/** The options of ours that say what a client of the official SDK was told. */
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

/** Lets a client send without a network and gives what it would have sent. */
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

/** Sends what a vector sends. */
export const send = ({ call, uncompressedHex }: RequestVector): Promise<TransportRequest> =>
  capture(call.client, build(call.steps), uncompressedHex === undefined ? {} : { compression: snappy });

/** The headers that prove who sends, and what. A Date goes with a signature only: alone it proves nothing. */
export function provingHeaders(headers: readonly HeaderPair[]): Record<string, string> {
  const all = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
  const signed = all.get("authorization")?.startsWith("EAS ") === true;
  const names = ["content-type", "authorization", "content-md5", ...(signed ? ["date"] : [])];
  return Object.fromEntries(names.flatMap((name) => (all.has(name) ? [[name, all.get(name) as string]] : [])));
}

/** The headers that a vector's user added. */
function addedHeaders({ call }: RequestVector): HeaderPair[] {
  const added = decode(call.client.extra_headers ?? { $map: [] }) as Map<string, string>;
  return [...added].map(([name, value]) => [name.toLowerCase(), value]);
}

/** Sends what a vector sends and compares all that the official SDK sent. */
export async function replayRequest(vector: RequestVector): Promise<void> {
  expectSame(vector, await send(vector));
}

/** Undoes snappy as the service does. */
const unsnapped = (body: Uint8Array): Uint8Array =>
  snappy.decompress?.(body, { maxBytes: 1_000_000, headers: new Headers() }) as Uint8Array;

/** Compares a request with the vector's. */
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
    // Hash and signature follow the bytes, whose order is free, and so is what snappy refers back to.
    for (const name of ["content-md5", "authorization"]) {
      expect(ours[name]).toMatch(name === "content-md5" ? /^[0-9a-f]{32}$/ : /^EAS [A-Za-z0-9+/]{27}=$/);
      delete ours[name];
      delete theirs[name];
    }
  }
  expect(ours).toEqual(theirs);
}

/** Sends the body of a signature vector and compares what proves it. */
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

/** Dtypes as Blade numbers them; what it has no number for is given as it is. */
const BLADE_DTYPES = [undefined, "DT_FLOAT", "DT_INT32", "DT_INT64", "DT_STRING"] as const;

/** What ours throws where the official SDK threw. */
const ERRORS: Readonly<Record<string, { name: string; code: string }>> = {
  // No such output.
  IndexError: { name: "RangeError", code: "ERR_EAS_ARG_OUTPUT" },
  AssertionError: { name: "RangeError", code: "ERR_EAS_ARG_OUTPUT" },
  // A slip in the message of what was to be an error for a wrong dtype.
  NameError: { name: "TypeError", code: "ERR_EAS_ARG_DTYPE" },
  // numpy cannot make an array of it.
  TypeError: { name: "EasDecodeError", code: "ERR_EAS_DECODE" },
  ValueError: { name: "EasDecodeError", code: "ERR_EAS_DECODE" },
};

/** The response of a vector. */
export function decoded<R>(vector: ResponseVector): R {
  return new RESPONSE_CLASSES[vector.decoder](fromHex(vector.bodyHex)) as R;
}

/** Reads a vector's response and compares what the accessors give. */
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

/** Reads by the accessor of ours that the official SDK has by another name, or with numbers for dtypes. */
function readAs(response: object, [name, ...args]: Step): unknown {
  // A helper that makes numpy's array of what the accessor gave.
  if (name === "OnnxDataHelper.to_array") return readAs(response, args[0] as Step);
  const [output, dtype] = args;
  if (typeof dtype === "number") return invoke(response, name, [output, BLADE_DTYPES[dtype] ?? dtype]);
  return invoke(response, name, args);
}

/** An array of ours as the record has it: integers of 64 bits are text, since the record's small ones are numbers. */
function plain(values: unknown): unknown[] {
  return Array.from(values as ArrayLike<unknown>, comparable);
}

function comparable(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : `${value}`;
  return value instanceof Uint8Array ? toHex(value) : value;
}
