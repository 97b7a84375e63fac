// Clients

// Errors
export type { EasArgumentErrorCode } from "./argument-errors.js";
// Direct connections
export type {
  Balancer,
  DirectOptions,
  DiscoveryOptions,
  EndpointQuery,
  EndpointSource,
  ServiceInstance,
} from "./endpoint/endpoint-source.js";
export {
  type AnyEasError,
  EasClosedError,
  EasDecodeError,
  EasDiscoveryError,
  EasError,
  type EasErrorCode,
  type EasErrorOptions,
  EasHttpError,
  EasModelError,
  EasNetworkError,
  EasQueueClosedError,
  EasSchemaError,
  type EasSchemaIssue,
  EasSocketClosedError,
  EasStreamError,
  EasTimeoutError,
  type EasTimeoutPhase,
  EasUnsupportedError,
  isEasError,
} from "./errors.js";
export {
  ENDPOINT_TYPE_DIRECT,
  ENDPOINT_TYPE_GATEWAY,
  type EndpointType,
  type PredictClientOptions,
} from "./http/client-settings.js";
export type {
  CallErrorEvent,
  CallEvent,
  CallHooks,
  CallInfo,
  CallLogger,
  CallRequestEvent,
  CallResponseEvent,
  CallRetryEvent,
  CallTimings,
} from "./http/hooks.js";
export type {
  Auth,
  CallOptions,
  ClientOptions,
  CloseOptions,
  HeadersInput,
  Method,
  NotReadyReason,
  Preset,
  RetryOn,
  Token,
  WaitOptions,
} from "./http/options.js";
export type { CallKind } from "./http/retry.js";
// Connections of your own
export { type FetchFunction, type FetchTransportOptions, fetchTransport } from "./platform/fetch-transport.js";
export {
  type ByteStream,
  type Exchange,
  type HeaderPair,
  type StreamedResponse,
  type StreamRequest,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
  type UploadProgress,
  type WebSocketClose,
  type WebSocketConnection,
  type WebSocketDialer,
  type WebSocketDialOptions,
} from "./platform/platform.js";
export { batch } from "./predict/batch.js";
export type {
  BatchAnswer,
  BatchInput,
  BatchOptions,
  BatchProgress,
  CollectingBatchOptions,
  StoppingBatchOptions,
} from "./predict/batch-options.js";
export type {
  ChatChoice,
  ChatCompletion,
  ChatEvent,
  ChatMessage,
  ChatToolCall,
  ChatUsage,
} from "./predict/chat-completion.js";
export type { ChatStream } from "./predict/chat-stream.js";
export type { ClientFetchOptions, LibraryOptions } from "./predict/client-fetch.js";
export type { Diagnosis, Finding } from "./predict/diagnose.js";
export type { PredictInput } from "./predict/inputs.js";
export type { JsonOptions, JsonReadOptions } from "./predict/json-options.js";
export {
  type JsonDataType,
  type JsonFeature,
  JsonRequest,
  type JsonValue,
} from "./predict/json-request.js";
export { type JsonOutput, JsonResponse } from "./predict/json-response.js";
export { type OpenAIOptions, PredictClient, type PredictResult } from "./predict/predict-client.js";
export type { PredictSocket, SocketClose } from "./predict/predict-socket.js";
export type { PredictStream } from "./predict/predict-stream.js";
export type { Readiness, ReadyOptions } from "./predict/ready.js";
export type { ServerSentEvent } from "./predict/server-sent-events.js";
export type { SocketOptions } from "./predict/socket-options.js";
export type { SchemaOutput, StandardIssue, StandardResult, StandardSchema } from "./predict/standard-schema.js";
export type { StreamOptions } from "./predict/stream-options.js";
export { StringRequest, StringResponse } from "./predict/string-request.js";
// Queues
export { AsyncInferenceClient, type AsyncInferenceClientOptions } from "./queue/async-inference-client.js";
export type { ConsumeOptions } from "./queue/consume.js";
export { DataFrame, type DataFrameJson } from "./queue/data-frame.js";
export type { FrameIndex } from "./queue/frame-index.js";
export type { FailureVerdict, FrameHandler } from "./queue/handle-items.js";
export type { InferenceJob, InferenceJobJson, ResultOptions } from "./queue/inference-job.js";
export type { PutResult, PutResultJson } from "./queue/put-result.js";
export type { QueueAttributes } from "./queue/queue-attributes.js";
export type { QueueCallOptions } from "./queue/queue-calls.js";
export { QueueClient } from "./queue/queue-client.js";
export type {
  CountOptions,
  EndOptions,
  GetOptions,
  NegativeOptions,
  PutOptions,
  SearchResult,
} from "./queue/queue-operations.js";
export type { KnownOptions, QueueClientOptions, QueueData, QueueLogger } from "./queue/queue-options.js";
export type { QueueTags } from "./queue/queue-tags.js";
export type { SkipRepeatedOptions } from "./queue/watch/skip-repeated.js";
export type { ReconnectOptions, WatchOptions, WatchStatus, WatchTransport } from "./queue/watch/watch-options.js";
export { Watcher } from "./queue/watch/watcher.js";
export {
  type EasyRecDType,
  type EasyRecDTypeName,
  EasyRecRequest,
  type EasyRecRequestOptions,
  type EasyRecValue,
  type EasyRecValues,
} from "./recommend/easyrec-request.js";
export { type EasyRecContextValue, EasyRecResponse, type EasyRecStatusCode } from "./recommend/easyrec-response.js";
export type { TorchRecDType, TorchRecDTypeName, TorchRecValue } from "./recommend/torchrec-dtype.js";
export { TorchRecRequest } from "./recommend/torchrec-request.js";
export { TorchRecResponse } from "./recommend/torchrec-response.js";
// Requests and responses
export type {
  Bytes,
  Compression,
  CompressionCodec,
  Decompression,
  DecompressionLimits,
  PredictRequest,
  RequestOptions,
} from "./request.js";
export type { BladeNameOptions, BladeScalarOf } from "./tensor/blade-message.js";
export { BladeRequest } from "./tensor/blade-request.js";
export { BladeResponse } from "./tensor/blade-response.js";
export { BladeTFRequest, BladeTFResponse } from "./tensor/blade-tf-request.js";
export { CaffeRequest } from "./tensor/caffe-request.js";
export { CaffeResponse } from "./tensor/caffe-response.js";
export type {
  BladeDType,
  ContentOf,
  DType,
  Float16Values,
  Float32Values,
  Float64Values,
  NumberArray,
  OnnxDType,
  TFDType,
  TorchDType,
  Uint16Values,
  ValuesOf,
} from "./tensor/dtype.js";
export { fromBFloat16, fromFloat16, toBFloat16, toFloat16 } from "./tensor/float16.js";
export { OnnxRequest } from "./tensor/onnx-request.js";
export { OnnxResponse } from "./tensor/onnx-response.js";
export type { OnnxContentOf } from "./tensor/onnx-values.js";
export { type DTypeOfArray, type Tensor, tensor } from "./tensor/tensor.js";
export type { NamedTensorResponse, TensorResponse } from "./tensor/tensor-response.js";
export { TFRequest } from "./tensor/tf-request.js";
export { TFResponse } from "./tensor/tf-response.js";
export { TorchRequest } from "./tensor/torch-request.js";
export { TorchResponse } from "./tensor/torch-response.js";
