import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { PredictClient } from "eas-prediction";
import { addConnectionOptions, type ConnectionOptions, clientOptions } from "../arguments/connection.js";
import { readInput } from "../arguments/input.js";
import { addExamples, addJsonOption, type CommandContext } from "../command.js";
import { CommandError, usageError } from "../exit-codes.js";
import { declarationsOf } from "../types/declarations.js";
import { type Described, fetchTypes, MAX_DOCUMENT_BYTES, parseDocument } from "../types/document.js";
import { schemaModuleOf } from "../types/schema-module.js";

interface TypesFlags extends ConnectionOptions {
  readonly out?: string;
  readonly schema?: string;
  readonly model?: string;
}

/** Adds the command `types`. */
export function addTypesCommand(program: Command, context: CommandContext): void {
  const command = program.command("types").summary("write the TypeScript types of a service");
  command.description(
    "Writes the TypeScript types of a service. Reads its /openapi.json (vLLM, FastAPI), its KServe v2 metadata (Triton) or its TensorFlow signature.",
  );
  command.argument("[url]", "URL of the service or of the document, or @file (default: --endpoint and --service)");
  addConnectionOptions(command, "service");
  command
    .option("-o, --out <file>", "file to write, such as service.d.ts (default: standard output)")
    .option("--schema <file>", "also write a module with Standard Schemas, such as service.js")
    .option("--model <name>", "name of the model for KServe v2 metadata");
  addJsonOption(command);
  addExamples(command, [
    ["Types and schemas of a service", "eas-prediction types -s llm --out llm.d.ts --schema llm.js"],
    ["Types of a model on Triton", "eas-prediction types https://triton.example.com --model resnet --out resnet.d.ts"],
    ["Types of a local document", "eas-prediction types @openapi.json"],
  ]);
  command.action((url: string | undefined, flags: TypesFlags) => run(url, flags, context));
}

async function run(url: string | undefined, flags: TypesFlags, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const { out, schema } = filesOf(flags);
  const { form, types } = await describedBy(url, flags, context);
  const { declarations, operations } = types;
  const source = declarationsOf(types, schema !== undefined);
  if (schema !== undefined) await write(schema, schemaModuleOf(types));
  if (out === undefined) {
    if (terminal.json) await terminal.printJson({ form, source });
    else await terminal.write(source);
    return;
  }
  await write(out, source);
  const files = schema === undefined ? [out] : [out, schema];
  await terminal.result(
    { form, files, types: declarations.map(({ name }) => name), operations: operations.map(({ key }) => key) },
    () => `wrote ${files.join(" and ")}: ${declarations.length} types, ${operations.length} operations`,
  );
}

async function describedBy(url: string | undefined, flags: TypesFlags, context: CommandContext): Promise<Described> {
  const { terminal, signal } = context;
  if (url === "-" || url?.startsWith("@")) {
    const bytes = await readInput(url, terminal.stdin);
    if (bytes.length > MAX_DOCUMENT_BYTES) throw new CommandError(`${url} has more than ${MAX_DOCUMENT_BYTES} bytes`);
    return parseDocument(new TextDecoder().decode(bytes));
  }
  const { endpoint, serviceName, ...options } = await clientOptions(flags);
  const address =
    url === undefined ? { ...(endpoint && { endpoint }), ...(serviceName && { serviceName }) } : { customUrl: url };
  const client = new PredictClient({ ...options, ...address, maxResponseBytes: MAX_DOCUMENT_BYTES });
  const progress = terminal.progress("requesting the types");
  try {
    return await fetchTypes(client, pathsOf(url, flags.model), signal);
  } finally {
    progress.stop();
    await client.close({ force: true });
  }
}

/** Returns the paths at which a description is searched. A URL may also be that of the description. */
function pathsOf(url: string | undefined, model: string | undefined): string[] {
  if (url !== undefined && /\.json$|\/v2\/models\/[^/]+$/.test(url.split("?", 1)[0] as string)) return [""];
  if (model !== undefined) return [`/v2/models/${encodeURIComponent(model)}`];
  return ["/openapi.json", ""];
}

/** Returns the files to write. TypeScript finds the types of `service.js` in `service.d.ts`. */
function filesOf({ out, schema }: TypesFlags): { out: string | undefined; schema: string | undefined } {
  if (out !== undefined && !/\.d\.m?ts$/.test(out)) throw usageError(`--out ${out} must end with .d.ts or .d.mts`);
  if (schema === undefined) return { out, schema };
  if (!/\.m?js$/.test(schema)) throw usageError(`--schema ${schema} must end with .js or .mjs`);
  const types = schema.replace(/\.(m?)js$/, ".d.$1ts");
  if (out !== undefined && out !== types) {
    throw usageError(`--schema ${schema} and --out ${out} do not belong together: TypeScript reads ${types}`);
  }
  return { out: types, schema };
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (cause) {
    throw usageError(`${file} cannot be written: ${(cause as Error).message}`, { cause });
  }
}
