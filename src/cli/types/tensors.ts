import { CommandError } from "../exit-codes.js";
import { isObject, type Json } from "./json-schema.js";
import type { Declaration, Property, ServiceTypes, Shape } from "./shape.js";

/** An input or an output of a model. */
interface TensorField {
  readonly name: string;
  readonly dtype: string;
  /** Sizes of the dimensions. A negative size is variable. */
  readonly shape: readonly number[];
}

const STRING: Shape = { kind: "string" };
const SIZE: Shape = { kind: "number", isInteger: true, min: 0 };

/** Returns the types of a TensorFlow signature, for the tensors of the package. */
export function typesOfSignature({ inputs, outputs, signature_name }: Json): ServiceTypes {
  const record = (name: string, tensors: unknown, description: string): Declaration => ({
    name,
    description,
    shape: object(
      fieldsOf(tensors, "type").map(({ name, dtype, shape }) => ({
        ...required(
          name,
          object([
            required("dtype", text(dtype)),
            required("shape", dims(shape)),
            required("data", { kind: "unknown" }),
          ]),
        ),
        description: `${dtype} [${shape.join(", ")}]`,
      })),
    ),
  });
  const signature = typeof signature_name === "string" ? signature_name : "";
  return {
    operations: [],
    declarations: [
      { name: "SignatureName", shape: text(signature), description: "Name of the signature." },
      record("Inputs", inputs, "Inputs of the model."),
      record("Outputs", outputs, "Outputs of the model."),
    ],
  };
}

/** Returns the types of a model with the Open Inference Protocol (KServe v2), for JSON requests. */
export function typesOfKServe({ name, inputs, outputs }: Json): ServiceTypes {
  const model = typeof name === "string" ? name : "";
  const inputFields = fieldsOf(inputs, "datatype");
  const outputFields = fieldsOf(outputs, "datatype");
  const oneOf = (fields: readonly TensorField[]): Shape => ({ kind: "any", of: fields.map(kserveTensor) });
  const request = object([
    optional("id", STRING),
    optional("parameters", object([])),
    required("inputs", { kind: "array", items: oneOf(inputFields) }),
    optional("outputs", {
      kind: "array",
      items: object([required("name", { kind: "literal", values: outputFields.map(({ name }) => name) })]),
    }),
  ]);
  const response = object([
    required("model_name", text(model)),
    optional("model_version", STRING),
    optional("id", STRING),
    required("outputs", { kind: "array", items: oneOf(outputFields) }),
  ]);
  return {
    declarations: [
      { name: "InferRequest", shape: request, description: "Request of the model." },
      { name: "InferResponse", shape: response, description: "Response of the model." },
    ],
    operations: [
      {
        key: `POST /v2/models/${model}/infer`,
        request: { kind: "ref", name: "InferRequest" },
        response: { kind: "ref", name: "InferResponse" },
      },
    ],
  };
}

function kserveTensor({ name, dtype, shape }: TensorField): Shape {
  const item: Shape = { kind: dtype === "BYTES" ? "string" : dtype === "BOOL" ? "boolean" : "number" };
  return object([
    required("name", text(name)),
    required("datatype", text(dtype)),
    required("shape", dims(shape)),
    required("data", { kind: "array", items: item }),
  ]);
}

/** Reads the list of tensors of a metadata document. Throws a `CommandError` for a document in another form. */
function fieldsOf(tensors: unknown, dtypeKey: "type" | "datatype"): TensorField[] {
  if (!Array.isArray(tensors)) throw new CommandError("the metadata has no list of inputs and outputs");
  return tensors.map((tensor) => {
    const { name, shape, [dtypeKey]: dtype } = isObject(tensor) ? tensor : {};
    // Triton sends sizes of 64 bits as strings in some versions.
    const sizes = Array.isArray(shape) ? shape.map(Number) : [];
    if (typeof name === "string" && typeof dtype === "string" && sizes.every(Number.isInteger)) {
      return { name, dtype, shape: sizes };
    }
    throw new CommandError(`the metadata has a tensor without name, ${dtypeKey} or shape`);
  });
}

function dims(sizes: readonly number[]): Shape {
  return { kind: "tuple", items: sizes.map((size) => (size < 0 ? SIZE : { kind: "literal", values: [size] })) };
}

function text(value: string): Shape {
  return { kind: "literal", values: [value] };
}

function object(properties: readonly Property[]): Shape {
  return { kind: "object", properties };
}

function required(name: string, shape: Shape): Property {
  return { name, isRequired: true, shape };
}

function optional(name: string, shape: Shape): Property {
  return { name, isRequired: false, shape };
}
