/**
 * Finds services of EAS by name, with their address and token. Reads only. For servers, scripts and edge functions: an
 * AccessKey must not be in a web page.
 */
export type { ControlOptions } from "./control-plane.js";
export type { Credentials, CredentialsOptions, CredentialsProvider } from "./credentials.js";
export { type FindServiceOptions, findService, type ServiceNetwork } from "./find-service.js";
export { FoundService, type ServiceAccess } from "./found-service.js";
export { type ListServicesOptions, listServices } from "./list-services.js";
export type { ServiceStatus, ServiceSummary } from "./service-record.js";
