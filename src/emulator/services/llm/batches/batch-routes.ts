import { createResponse } from "../../../response.js";
import type { EmulatorCall } from "../../service.js";
import { jsonResponse, readJson } from "../interfaces/http.js";
import { pauseInBackground } from "../pace.js";
import type { LlmSettings } from "../settings.js";
import { Batches } from "./batches.js";
import { FileStore } from "./files.js";
import { badRequest } from "./list-responses.js";

/** The settings and the state of a service. */
export interface Llm extends LlmSettings {
  readonly files: FileStore;
  readonly batches: Batches;
}

/** Handles a call. `id` is the path segment that matches the `*` of the route. */
export type Route = (call: EmulatorCall, llm: Llm, id: string) => Response | Promise<Response>;

/** Routes by path and method. */
export type Routes = Readonly<Record<string, Readonly<Record<string, Route>>>>;

/** Creates the state of a service. `handle` processes the requests of batches like calls over HTTP. */
export function createLlm(settings: LlmSettings, handle: (call: EmulatorCall, llm: Llm) => Promise<Response>): Llm {
  const files = new FileStore();
  const headers = new Headers({ "content-type": "application/json" });
  const query = new URLSearchParams();
  const batches: Batches = new Batches(files, settings.batchDelay, (path, fields, signal) => {
    const body = new TextEncoder().encode(JSON.stringify(fields));
    return handle({ service: "", method: "POST", path, query, headers, body, signal }, background);
  });
  const llm: Llm = { ...settings, files, batches };
  const background = { ...llm, pause: pauseInBackground };
  return llm;
}

/** Routes for files and batches. As on EAS, they accept only Bearer tokens. */
export const BATCH_ROUTES: Routes = {
  "/v1/files": {
    GET: withBearer(({ query }, { files }) => jsonResponse(200, files.list(query))),
    POST: withBearer(async (call, { files }) => jsonResponse(200, await files.upload(call))),
  },
  "/v1/files/*": {
    GET: withBearer((_, { files }, id) => jsonResponse(200, files.get(id).file)),
    DELETE: withBearer((_, { files }, id) => jsonResponse(200, files.delete(id))),
  },
  "/v1/files/*/content": {
    GET: withBearer((_, { files }, id) => createResponse(200, files.get(id).content)),
  },
  "/v1/batches": {
    GET: withBearer(({ query }, { batches }) => jsonResponse(200, batches.list(query))),
    POST: withBearer((call, llm) => jsonResponse(200, llm.batches.create(readJson(call, llm)))),
  },
  "/v1/batches/*": { GET: withBearer((_, { batches }, id) => jsonResponse(200, batches.get(id))) },
  "/v1/batches/*/cancel": { POST: withBearer((_, { batches }, id) => jsonResponse(200, batches.cancel(id))) },
};

function withBearer(route: Route): Route {
  return (call, llm, id) => {
    const authorization = call.headers.get("authorization") ?? "";
    // A service without a token does not receive the header.
    if (authorization === "" || /^bearer /i.test(authorization)) return route(call, llm, id);
    throw badRequest("the token must be sent as Authorization: Bearer <token>", null, 401);
  };
}
