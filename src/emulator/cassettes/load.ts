import { messageOf } from "../../util/realms.js";
import { BODIES_FOLDER, bodyFiles, type Cassette, INDEX_FILE } from "./cassette.js";
import { checkInteractions, damaged, readRecordings } from "./recording.js";

/**
 * Reads a cassette from any source of files, for example a web server. Verifies all bodies.
 *
 * @param read - Returns the content of a file by its path in the cassette's directory: `cassette.json`, or
 * `bodies/<name>`. An error that it throws becomes the `cause` of this function's error.
 *
 * @example
 * const cassette = await readCassette(async (file) => {
 *   const response = await fetch(`/cassettes/chat/${file}`);
 *   return new Uint8Array(await response.arrayBuffer());
 * });
 *
 * @throws TypeError if a file is missing or damaged, or if the version is unknown.
 */
export async function readCassette(read: (file: string) => Promise<Uint8Array> | Uint8Array): Promise<Cassette> {
  const readFile = async (file: string) => {
    try {
      return await read(file);
    } catch (cause) {
      throw damaged(file, `it cannot be read: ${messageOf(cause)}`, "a readable file", cause);
    }
  };
  const index = parseIndex(await readFile(INDEX_FILE));
  // Names are checked before the bodies are read, so that no name can lead out of the directory.
  const interactions = checkInteractions(index);
  const bodies: Record<string, Uint8Array> = {};
  for (const file of bodyFiles(interactions)) bodies[file] = await readFile(`${BODIES_FOLDER}/${file}`);
  const cassette = { ...index, bodies };
  readRecordings(cassette);
  return cassette;
}

function parseIndex(bytes: Uint8Array): Omit<Cassette, "bodies"> {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw damaged(INDEX_FILE, `it is not JSON: ${messageOf(cause)}`, "the index of a cassette", cause);
  }
}
