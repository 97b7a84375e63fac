import { type DescMessage, fromBinary, isMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { EasDecodeError } from "../errors.js";
import type { Bytes, Compression, PredictRequest, RequestOptions } from "../formats/request.js";
import { argumentTypeError, show } from "../util/argument-errors.js";
import { showAsText } from "../util/inspect.js";
import { checkRequestOptions } from "../util/option-names.js";
import { messageOf } from "../util/realms.js";

/**
 * A request with any message that Buf generates, for your own formats or for fields that the other request classes do
 * not set. The schemas of all EAS formats are at `eas-prediction/proto/<format>`.
 *
 * @example
 * const request = new ProtoRequest(PredictRequestSchema, create(PredictRequestSchema, { signatureName: "s" }), PredictResponseSchema);
 */
export class ProtoRequest<I extends DescMessage, O extends DescMessage> implements PredictRequest<MessageShape<O>> {
  readonly compression: Compression | undefined;
  readonly #schema: I;
  readonly #message: MessageShape<I>;
  readonly #responseSchema: O;

  /**
   * Keeps a reference to `message`, which is serialized when the request is sent. Throws a `TypeError` if it is not a
   * message of `schema`.
   */
  constructor(schema: I, message: MessageShape<I>, responseSchema: O, options: RequestOptions = {}) {
    checkRequestOptions("ProtoRequest", options);
    this.compression = options.compression;
    showAsText(this);
    if (!isMessage(message, schema)) {
      throw argumentTypeError("ERR_EAS_ARG_REQUEST", `message is ${show(message)}: it must be a ${schema.typeName}`);
    }
    this.#schema = schema;
    this.#message = message;
    this.#responseSchema = responseSchema;
  }

  toBinary(): Bytes {
    return toBinary(this.#schema, this.#message);
  }

  /** Returns the names of the class and of the schema. The message is left out, because it can be large. */
  toString(): string {
    return `ProtoRequest { ${this.#schema.typeName} }`;
  }

  parseResponse(body: Bytes): MessageShape<O> {
    try {
      return fromBinary(this.#responseSchema, body);
    } catch (cause) {
      const { typeName } = this.#responseSchema;
      throw new EasDecodeError(`the response is not a ${typeName}: ${messageOf(cause)}`, {
        format: typeName,
        cause,
      });
    }
  }
}
