/** A value of JSON that is not a list or an object. */
export type Scalar = string | number | boolean | null;

/** The set of values that a type contains. Both generators read it. */
export type Shape =
  | { readonly kind: "unknown" | "boolean" | "null" }
  | { readonly kind: "string"; readonly min?: number; readonly max?: number }
  | { readonly kind: "number"; readonly isInteger?: boolean; readonly min?: number; readonly max?: number }
  | { readonly kind: "literal"; readonly values: readonly Scalar[] }
  | { readonly kind: "array"; readonly items: Shape; readonly min?: number; readonly max?: number }
  | { readonly kind: "tuple"; readonly items: readonly Shape[] }
  | { readonly kind: "object"; readonly properties: readonly Property[]; readonly rest?: Shape | false }
  | { readonly kind: "any" | "all"; readonly of: readonly Shape[] }
  | { readonly kind: "ref"; readonly name: string };

/** A property of an object. */
export interface Property {
  readonly name: string;
  readonly isRequired: boolean;
  readonly shape: Shape;
  readonly description?: string;
}

/** A named type. Its name is a valid identifier. */
export interface Declaration {
  readonly name: string;
  readonly shape: Shape;
  readonly description?: string;
}

/** A method of a path, with its JSON bodies. */
export interface Operation {
  /** Method and path, such as `POST /v1/embeddings`. */
  readonly key: string;
  readonly request: Shape;
  readonly response: Shape;
  readonly description?: string;
}

/** All types of a service. */
export interface ServiceTypes {
  readonly declarations: readonly Declaration[];
  readonly operations: readonly Operation[];
}

export const UNKNOWN: Shape = { kind: "unknown" };

/**
 * Replaces references that lead back to their own type without an object or a list between them, such as `type A = A |
 * string`. Compilers refuse such types, and validators would not end.
 */
export function withoutDirectCycles({ declarations, operations }: ServiceTypes): ServiceTypes {
  const known = new Map(declarations.map((declaration) => [declaration.name, declaration]));
  const done = new Map<string, Declaration>();
  const active = new Set<string>();
  const visit = (name: string): void => {
    const declaration = known.get(name);
    if (declaration === undefined || done.has(name)) return;
    active.add(name);
    done.set(name, { ...declaration, shape: cut(declaration.shape) });
    active.delete(name);
  };
  const cut = (shape: Shape): Shape => {
    if (shape.kind === "any" || shape.kind === "all") return { ...shape, of: shape.of.map(cut) };
    if (shape.kind !== "ref") return shape;
    if (active.has(shape.name)) return UNKNOWN;
    visit(shape.name);
    return shape;
  };
  for (const { name } of declarations) visit(name);
  return { declarations: declarations.map(({ name }) => done.get(name) as Declaration), operations };
}
