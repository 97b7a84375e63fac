/**
 * Finds EAS services by name, with their address and token. Changes nothing. For servers, scripts and edge functions
 * only, because a web page must not contain an AccessKey.
 */
export type { ControlOptions } from "./control-plane.js";
export type { Credentials, CredentialsOptions, CredentialsProvider } from "./credentials.js";
export { type FindServiceOptions, findService, type ServiceNetwork } from "./find-service.js";
export { FoundService, type ServiceAccess } from "./found-service.js";
export { type ListServicesOptions, listServices } from "./list-services.js";
export type { ServiceStatus, ServiceSummary } from "./service-record.js";
