import { PredictClient, type PredictClientOptions } from "eas-prediction";

/** The service that is examined, and how to call it. */
export interface Subject {
  readonly client: PredictClient;
  /** Address of the service, without a query. */
  readonly url: URL;
  /** The token; undefined if there is none. */
  readonly token: string | undefined;
  /** Maximum duration of a single step, in milliseconds. */
  readonly timeout: number;
  /** Environment variables of the process. */
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** Calls `use` with a client that has other options, and closes that client. */
  with<T>(options: PredictClientOptions, use: (client: PredictClient) => Promise<T>): Promise<T>;
}

/** Options for `subjectOf`. */
export interface SubjectOptions {
  readonly options: PredictClientOptions;
  readonly timeout: number;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/**
 * Returns the subject for client options. Rejects with the client's `TypeError` or `RangeError` if options are invalid or
 * missing.
 */
export async function subjectOf({ options, timeout, env, signal }: SubjectOptions): Promise<Subject> {
  const create = (more: PredictClientOptions = {}) =>
    new PredictClient({ ...options, retryCount: 0, timeout, logger: null, ...more });
  const client = create();
  const url = await serviceUrlOf(client);
  const token = typeof options.token === "string" ? options.token : (env.EAS_TOKEN ?? env.EAS_SERVICE_TOKEN);
  return {
    client,
    url,
    token: token?.trim() || undefined,
    timeout,
    env,
    signal,
    async with(more, use) {
      const other = create(more);
      try {
        return await use(other);
      } finally {
        await other.close();
      }
    },
  };
}

/** Returns the address of a client's service. */
async function serviceUrlOf(client: PredictClient): Promise<URL> {
  const url = new URL(client.anthropic().baseURL);
  // The host of a client whose options name no service. The diagnosis of such a client sends nothing.
  if (url.hostname.endsWith(".invalid")) {
    const { finding, message } = await client.diagnose({ timeout: 1 });
    if (finding === "settings") throw new TypeError(message);
  }
  return url;
}
