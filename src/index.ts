// Clients and calls

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
} from "./config/hooks.js";
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
} from "./config/options.js";
export type { CallKind } from "./config/retry.js";
export {
  ENDPOINT_TYPE_DIRECT,
  ENDPOINT_TYPE_GATEWAY,
  type EndpointType,
  type PredictClientOptions,
} from "./config/settings.js";
export { type OpenAIOptions, PredictClient, type PredictResult } from "./predict/client.js";
export type { ClientFetchOptions, LibraryOptions } from "./predict/fetch/client-fetch.js";
export type { PredictInput, PredictOutput } from "./predict/input/inputs.js";
export type { JsonOptions } from "./predict/json/json-options.js";
export type { SchemaOutput, StandardIssue, StandardResult, StandardSchema } from "./predict/json/standard-schema.js";
export type { Diagnosis, Finding } from "./predict/readiness/diagnose.js";
export type { Readiness, ReadyOptions } from "./predict/readiness/ready.js";

// Batches

export { type Batch, type BatchStream, batch } from "./predict/batch/batch.js";
export type {
  BatchCheckpoint,
  BatchFailure,
  BatchItem,
  BatchOptions,
  BatchProgress,
  BatchStreamOptions,
  BatchSuccess,
  CollectingBatchOptions,
  StoppingBatchOptions,
} from "./predict/batch/options.js";

// Streams and WebSockets

export type { PredictSocket, SocketClose } from "./predict/socket/socket.js";
export type { SocketOptions } from "./predict/socket/socket-options.js";
export type {
  ChatChoice,
  ChatCompletion,
  ChatEvent,
  ChatMessage,
  ChatToolCall,
  ChatUsage,
} from "./predict/stream/chat-completion.js";
export type { ChatStream } from "./predict/stream/chat-stream.js";
export type { ServerSentEvent } from "./predict/stream/server-sent-events.js";
export type { PredictStream } from "./predict/stream/stream.js";
export type { StreamOptions } from "./predict/stream/stream-options.js";

// Errors

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
  type EasNetworkErrorReason,
  EasQueueClosedError,
  EasSchemaError,
  type EasSchemaIssue,
  EasSocketClosedError,
  EasStoreError,
  EasStreamError,
  EasTimeoutError,
  type EasTimeoutPhase,
  EasUnsupportedError,
  isEasError,
} from "./errors.js";
export type { EasArgumentErrorCode } from "./util/argument-errors.js";

// Requests and responses of all formats

export type {
  Bytes,
  Compression,
  CompressionCodec,
  Decompression,
  DecompressionLimits,
  PredictRequest,
  RequestOptions,
} from "./formats/request.js";

// Text and JSON

export { type JsonDataType, type JsonFeature, JsonRequest, type JsonValue } from "./formats/json/request.js";
export { type JsonOutput, JsonResponse } from "./formats/json/response.js";
export { type JsonReadOptions, StringRequest, StringResponse } from "./formats/text/string-request.js";

// Tensors

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
} from "./formats/tensor/dtype.js";
export { fromBFloat16, fromFloat16, toBFloat16, toFloat16 } from "./formats/tensor/float16.js";
export type { TensorRequest } from "./formats/tensor/request.js";
export { type DTypeOfArray, type Tensor, tensor } from "./formats/tensor/tensor.js";
export type { NamedTensorResponse, TensorResponse } from "./formats/tensor/tensor-response.js";

// TensorFlow

export { TFRequest } from "./formats/tf/request.js";
export { TFResponse } from "./formats/tf/response.js";

// PyTorch

export { TorchRequest } from "./formats/torch/request.js";
export { TorchResponse } from "./formats/torch/response.js";

// Blade

export type { BladeNameOptions, BladeScalarOf } from "./formats/blade/message.js";
export { BladeRequest } from "./formats/blade/request.js";
export { BladeResponse } from "./formats/blade/response.js";
export { BladeTFRequest, BladeTFResponse } from "./formats/blade/tf-request.js";

// Caffe

export { CaffeRequest } from "./formats/caffe/request.js";
export { CaffeResponse } from "./formats/caffe/response.js";

// ONNX

export { OnnxRequest } from "./formats/onnx/request.js";
export { OnnxResponse } from "./formats/onnx/response.js";
export type { OnnxContentOf } from "./formats/onnx/values.js";

// Recommendation: EasyRec and TorchEasyRec

export {
  type EasyRecDType,
  type EasyRecDTypeName,
  EasyRecRequest,
  type EasyRecRequestOptions,
  type EasyRecValue,
  type EasyRecValues,
} from "./formats/easyrec/request.js";
export { type EasyRecContextValue, EasyRecResponse, type EasyRecStatusCode } from "./formats/easyrec/response.js";
export type { TorchRecDType, TorchRecDTypeName, TorchRecValue } from "./formats/torchrec/dtype.js";
export { TorchRecRequest } from "./formats/torchrec/request.js";
export { TorchRecResponse } from "./formats/torchrec/response.js";

// Queues and asynchronous inference

export type { QueueAttributes } from "./queue/attributes.js";
export type { QueueCallOptions } from "./queue/calls.js";
export { QueueClient } from "./queue/client.js";
export type {
  DeadLetter,
  FailureAction,
  FrameHandler,
  HandlerContext,
  PutTarget,
  ReplyOptions,
} from "./queue/consume/handler.js";
export type { ConsumeOptions } from "./queue/consume/options.js";
export type { QueueWorker } from "./queue/consume/worker.js";
export type { WorkerStats } from "./queue/consume/worker-host.js";
export { DataFrame, type DataFrameJson } from "./queue/frame.js";
export { AsyncInferenceClient, type AsyncInferenceClientOptions } from "./queue/jobs/async-inference-client.js";
export type { InferenceJob } from "./queue/jobs/inference-job.js";
export type { JobInput, JobOutput, ResultFormat } from "./queue/jobs/job-input.js";
export type { InferenceJobJson } from "./queue/jobs/job-json.js";
export type {
  JobStatus,
  ResultOptions,
  ResumeOptions,
  StatusOptions,
  SubmitOptions,
} from "./queue/jobs/job-options.js";
export { run } from "./queue/jobs/run.js";
export type { JobStore, RunOptions } from "./queue/jobs/run-options.js";
export type {
  CountOptions,
  EndOptions,
  GetOptions,
  NegativeOptions,
  PutOptions,
  SearchResult,
} from "./queue/operations.js";
export type { KnownOptions, QueueClientOptions, QueueData, QueueLogger } from "./queue/options.js";
export type { PutResult, PutResultJson } from "./queue/put-result.js";
export type { FrameIndex, QueueTags } from "./queue/values.js";
export type {
  ReconnectOptions,
  SkipRepeatedOptions,
  WatchOptions,
  WatchStatus,
  WatchTransport,
} from "./queue/watch/options.js";
export { Watcher } from "./queue/watch/watcher.js";

// Direct connections to the instances of a service

export type {
  Balancer,
  DirectOptions,
  DiscoveryOptions,
  EndpointQuery,
  EndpointSource,
  ServiceInstance,
} from "./endpoint/endpoint-source.js";

// For authors of transports

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
} from "./platform/contract.js";
export { type FetchFunction, type FetchTransportOptions, fetchTransport } from "./platform/web/fetch-transport.js";
