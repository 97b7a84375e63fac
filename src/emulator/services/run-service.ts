import { isResponse, messageOf } from "../../util/realms.js";
import { compressResponse, decompressBody } from "../gateway/compression.js";
import { createResponse } from "../response.js";
import type { EmulatorCall, EmulatorService } from "./service.js";

/** Calls a service's handler and returns its response; 400 when the handler throws. Rejects when the caller disconnects. */
export async function runService(service: EmulatorService, call: EmulatorCall): Promise<Response> {
  try {
    const result = await service.handle({ ...call, body: await decompressBody(service, call) });
    const response = isResponse(result) ? result : createResponse(200, result);
    return await compressResponse(service.compressor, response);
  } catch (error) {
    call.signal.throwIfAborted();
    return isResponse(error) ? error : createResponse(400, messageOf(error));
  }
}
