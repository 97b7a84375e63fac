import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { checkServerIdentity, type PeerCertificate, connect as tlsConnect } from "node:tls";
import { type CheckResult, ok, problem, skipped, warning } from "./result.js";
import { limited } from "./steps.js";
import type { Subject } from "./subject.js";

const DAY_MS = 86_400_000;
/** Maximum duration of a step that only explains another failure, in milliseconds. */
const MAX_EXTRA_STEP_MS = 2_000;
/** Days before the end of a certificate at which a warning begins. */
const EXPIRES_SOON_DAYS = 14;

/** Checks that the name of the host has an address. */
export async function checkDns(subject: Subject): Promise<CheckResult> {
  const host = hostOf(subject.url);
  if (isIP(host) !== 0) return skipped("dns", `${host} is an IP address`);
  try {
    const found = await limited(subject, (signal) => abortable(lookup(host, { all: true }), signal));
    return ok("dns", `${host} is ${found.map(({ address }) => address).join(", ")}`);
  } catch (error) {
    subject.signal.throwIfAborted();
    const advice = /[.-]vpc\./.test(host)
      ? "This name is known only inside its VPC. Elsewhere, use the public address from the console."
      : "Check the spelling of the account, the gateway and the region in the address, and the DNS server of this machine.";
    return problem("dns-failed", `${host} cannot be resolved (${codeOf(error)})`, advice);
  }
}

/** Checks that the port accepts connections. */
export async function checkTcp(subject: Subject): Promise<CheckResult> {
  const { host, port } = hostAndPort(subject.url);
  const start = performance.now();
  try {
    const socket = await limited(subject, (signal) => opened(connect({ host, port }), "connect", signal));
    socket.destroy();
    return ok("tcp", `connected to port ${port} in ${Math.round(performance.now() - start)} ms`);
  } catch (error) {
    subject.signal.throwIfAborted();
    const code = codeOf(error);
    if (code === "ECONNREFUSED") {
      return problem(
        "tcp-refused",
        `${host} refuses connections to port ${port}`,
        "Check the port. Is the server running?",
      );
    }
    return problem(
      "tcp-failed",
      `no connection to port ${port} of ${host} (${code})`,
      "Check the firewall and the security group. A VPC address can be reached only inside its VPC, and some networks require a proxy.",
    );
  }
}

/** Checks TLS and the certificate. Returns every finding, because an expired certificate can also have a wrong name. */
export async function checkTls(subject: Subject): Promise<CheckResult[]> {
  if (subject.url.protocol !== "https:") return [skipped("tls", "the address begins with http://")];
  const { host, port } = hostAndPort(subject.url);
  try {
    const { certificate, authorizationError, protocol } = await handshake(host, port, subject);
    const findings = certificateFindings({ host, certificate, authorizationError, now: Date.now() });
    if (findings.length > 0) return findings;
    return [ok("tls", `${protocol}, the certificate is valid until ${dateOf(certificate.valid_to)}`)];
  } catch (error) {
    subject.signal.throwIfAborted();
    const { message } = error as Error;
    if (/wrong version number|packet length too long|http request/i.test(message)) {
      return [
        problem(
          "tls-plain-http",
          `port ${port} does not use TLS`,
          "Begin the address with http://, or use the port for TLS.",
        ),
      ];
    }
    return [
      problem(
        "tls-failed",
        `the TLS handshake failed (${codeOf(error)})`,
        "Check the port, and whether a proxy or firewall breaks TLS.",
      ),
    ];
  }
}

/** Returns a finding if a port that an `http://` address names requires TLS. Call it if requests to this port fail. */
export async function checkTlsRequired(subject: Subject): Promise<CheckResult | undefined> {
  if (subject.url.protocol !== "http:") return undefined;
  const { host, port } = hostAndPort(subject.url);
  try {
    await handshake(host, port, { ...subject, timeout: Math.min(subject.timeout, MAX_EXTRA_STEP_MS) });
    return problem("tls-required", `port ${port} requires TLS`, "Begin the address with https://.");
  } catch {
    subject.signal.throwIfAborted();
    return undefined;
  }
}

/** The result of a TLS handshake. */
interface Handshake {
  readonly certificate: PeerCertificate;
  /** Code of the error for a certificate chain that is not trusted. */
  readonly authorizationError: string | undefined;
  readonly protocol: string | null;
}

/** Performs a TLS handshake without sending a request. The certificate is not verified, so that it can be examined. */
async function handshake(host: string, port: number, subject: Pick<Subject, "signal" | "timeout">): Promise<Handshake> {
  const servername = isIP(host) === 0 ? host : "";
  const socket = tlsConnect({ host, port, servername, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
  await limited(subject, (signal) => opened(socket, "secureConnect", signal));
  // Node's types declare an Error, but the value is the code of OpenSSL.
  const authorizationError = (socket.authorizationError as unknown as string | null) ?? undefined;
  const result = { certificate: socket.getPeerCertificate(), authorizationError, protocol: socket.getProtocol() };
  socket.destroy();
  return result;
}

/** Facts about a certificate that `certificateFindings` examines. */
export interface CertificateFacts {
  readonly host: string;
  readonly certificate: Pick<PeerCertificate, "valid_from" | "valid_to" | "subject" | "subjectaltname">;
  readonly authorizationError: string | undefined;
  /** The current time, in milliseconds since 1970. */
  readonly now: number;
}

/** Returns all findings about a certificate. */
export function certificateFindings({ host, certificate, authorizationError, now }: CertificateFacts): CheckResult[] {
  const { valid_from, valid_to } = certificate;
  const findings: CheckResult[] = [];
  const left = Date.parse(valid_to) - now;
  if (left < 0) {
    findings.push(
      problem("tls-expired", `the certificate expired on ${dateOf(valid_to)}`, "Renew the certificate on the server."),
    );
  } else if (left < EXPIRES_SOON_DAYS * DAY_MS) {
    const days = Math.ceil(left / DAY_MS);
    findings.push(
      warning("tls-expires-soon", `the certificate expires in ${days} days`, "Renew the certificate on the server."),
    );
  }
  if (Date.parse(valid_from) > now) {
    const seen = `the certificate is not valid before ${dateOf(valid_from)}`;
    findings.push(problem("tls-not-yet-valid", seen, "Check the clock of this machine."));
  }
  if (checkServerIdentity(host, certificate as PeerCertificate) !== undefined) {
    const names = certificate.subjectaltname ?? "no name";
    findings.push(
      problem(
        "tls-wrong-host",
        `the certificate is for ${names}, not for ${host}`,
        "Use an address whose host the certificate names.",
      ),
    );
  }
  // The certificates of a chain are also reported if one of them is expired, which has its own finding.
  if (authorizationError !== undefined && !/EXPIRED|NOT_YET_VALID|ALTNAME/.test(authorizationError)) {
    findings.push(
      problem(
        "tls-untrusted",
        `the certificate is not signed by a trusted authority (${authorizationError})`,
        "Set NODE_EXTRA_CA_CERTS to a file with the certificate of the authority, or use the option ca of nodeTransport().",
      ),
    );
  }
  return findings;
}

function dateOf(text: string): string {
  const time = Date.parse(text);
  return Number.isNaN(time) ? text : new Date(time).toISOString().slice(0, 10);
}

/** Returns the host without the brackets of an IPv6 address. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "");
}

function hostAndPort(url: URL): { host: string; port: number } {
  const standard = url.protocol === "https:" ? 443 : 80;
  return { host: hostOf(url), port: url.port === "" ? standard : Number(url.port) };
}

async function opened<S extends Socket>(socket: S, event: string, signal: AbortSignal): Promise<S> {
  try {
    await once(socket, event, { signal });
    // Errors of the open socket do not matter.
    socket.on("error", () => {});
    return socket;
  } catch (error) {
    socket.on("error", () => {});
    socket.destroy();
    throw error;
  }
}

/** Returns a promise that also rejects when `signal` fires, for an operation that does not take a signal. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}

function codeOf(error: unknown): string {
  const { code, name, cause } = error as NodeJS.ErrnoException;
  if (typeof code === "string" && code !== "ABORT_ERR") return code;
  return name === "TimeoutError" || (cause as Error | undefined)?.name === "TimeoutError" ? "timeout" : name;
}
