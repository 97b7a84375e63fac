import { isEasError, type PredictClient } from "eas-prediction";
import { CommandError } from "../exit-codes.js";
import { isObject, type Json } from "./json-schema.js";
import { typesOfOpenApi } from "./openapi.js";
import { type ServiceTypes, withoutDirectCycles } from "./shape.js";
import { typesOfKServe, typesOfSignature } from "./tensors.js";

/** Maximum size of a document, in bytes. */
export const MAX_DOCUMENT_BYTES = 10_485_760;

/** Form of a document that describes the types of a service. */
export type DocumentForm = "openapi" | "kserve" | "tensorflow";

/** The types of a service, and the form of their document. */
export interface Described {
  readonly form: DocumentForm;
  readonly types: ServiceTypes;
}

/** Parses a document. Throws a `CommandError` if its form is unknown. */
export function parseDocument(text: string): Described {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new CommandError(`the document is not JSON: ${(cause as Error).message}`, undefined, { cause });
  }
  const described = describe(document);
  if (described !== undefined) return described;
  throw new CommandError("the document is neither OpenAPI 3, nor KServe v2 metadata, nor a TensorFlow signature");
}

/** Requests the description of a service, and returns its types. `paths` are tried in this order. */
export async function fetchTypes(
  client: PredictClient,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Described> {
  const tried: string[] = [];
  for (const path of paths) {
    let document: unknown;
    try {
      document = await client.json(null, { method: "GET", signal, ...(path !== "" && { path }) });
    } catch (error) {
      if (!isEasError(error)) throw error;
      const isElsewhere = error.code === "ERR_EAS_HTTP" && [400, 404, 405, 422].includes(error.status);
      if (!isElsewhere && error.code !== "ERR_EAS_DECODE") throw error;
      if (error.code === "ERR_EAS_DECODE" && /maxResponseBytes/.test(error.message)) throw error;
    }
    const described = describe(document);
    if (described !== undefined) return described;
    tried.push(path === "" ? "the address itself" : path);
  }
  throw new CommandError(
    `the service does not describe its types: tried ${tried.join(", ")}. Check the address. For KServe and Triton, add --model <name>`,
  );
}

function describe(document: unknown): Described | undefined {
  const form = isObject(document) ? formOf(document) : undefined;
  if (form === undefined) return undefined;
  return { form, types: withoutDirectCycles(READERS[form](document as Json)) };
}

const READERS: Readonly<Record<DocumentForm, (document: Json) => ServiceTypes>> = {
  openapi: typesOfOpenApi,
  kserve: typesOfKServe,
  tensorflow: typesOfSignature,
};

function formOf({ openapi, inputs, outputs }: Json): DocumentForm | undefined {
  if (typeof openapi === "string" && openapi.startsWith("3.")) return "openapi";
  const tensors: unknown[] = [inputs, outputs].flat();
  if (tensors.length === 0 || !tensors.every(isObject)) return undefined;
  if (tensors.every(({ datatype }) => typeof datatype === "string")) return "kserve";
  return tensors.every(({ type }) => typeof type === "string") ? "tensorflow" : undefined;
}
