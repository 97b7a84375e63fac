import { showAsText } from "../../util/inspect.js";
import { checkRequestOptions } from "../../util/option-names.js";
import { inChunks, serialized } from "../protobuf/encoded-field.js";
import type { Bytes, Compression, RequestOptions } from "../request.js";
import { checkName, listFeeds } from "../tensor/request-inputs.js";
import { BladeMessage } from "./message.js";

/** What both Blade requests have in common. */
export abstract class AbstractBladeRequest {
  static readonly DT_FLOAT = "DT_FLOAT";
  static readonly DT_INT32 = "DT_INT32";
  static readonly DT_INT64 = "DT_INT64";
  static readonly DT_STRING = "DT_STRING";

  readonly compression: Compression | undefined;
  /** @internal */
  protected readonly message: BladeMessage = new BladeMessage();
  readonly #name: string;
  #signatureName: string | undefined;

  /** `name` is the class's own, for errors and for people. */
  constructor(name: string, signatureName: string | undefined, options: RequestOptions) {
    checkRequestOptions(name, options);
    this.#name = name;
    this.compression = options.compression;
    showAsText(this);
    this.#signatureName = signatureName === undefined ? undefined : checkName("signatureName", signatureName);
  }

  /** Sets the model's signature. */
  setSignatureName(signatureName: string): this {
    this.#signatureName = checkName("signatureName", signatureName);
    return this;
  }

  /** The serialized request. Checks all content again, since feeds refer to the caller's arrays. */
  toBinary(): Bytes {
    return serialized(this.message.parts(this.#signatureName));
  }

  /** As `toBinary`, in pieces: large arrays of the dtype's own kind are among them as they are. */
  toChunks(): Bytes[] {
    return inChunks(this.message.parts(this.#signatureName));
  }

  /** For people: signature, inputs with dtype and shape, and fetched outputs. */
  toString(): string {
    const { feeds, fetches } = this.message;
    const inputs = listFeeds(Array.from(feeds, ([name, { tensor }]) => [name, tensor] as const));
    return `${this.#name}(${this.#signatureName ?? ""}) { ${inputs} } → ${[...fetches.keys()].join(", ") || "all outputs"}`;
  }
}
