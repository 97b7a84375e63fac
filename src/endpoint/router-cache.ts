import type { Route } from "./direct-route.js";
import type { EndpointSource } from "./endpoint-source.js";
import type { Router, RouterHost } from "./router.js";

/** Creates routers for services with direct connections. All clients that share a pool share its routers. */
export class RouterCache {
  readonly #host: RouterHost;
  readonly #routers = new Map<EndpointSource | undefined, Map<string, Router | Promise<Router>>>();

  constructor(host: RouterHost) {
    this.#host = host;
  }

  /** Returns the router for a route, or a promise for that router while its code is loading. */
  get(route: Route): Router | Promise<Router> {
    let ofSource = this.#routers.get(route.endpointSource);
    if (ofSource === undefined) {
      ofSource = new Map();
      this.#routers.set(route.endpointSource, ofSource);
    }
    let router = ofSource.get(route.key);
    if (router === undefined) {
      router = this.#load(route, ofSource);
      ofSource.set(route.key, router);
    }
    return router;
  }

  /** Closes all routers. */
  close(): void {
    for (const ofSource of this.#routers.values()) {
      for (const router of ofSource.values()) void Promise.resolve(router).then((router) => router.close());
    }
  }

  /** Loads the router code on first use, so that clients behind a gateway do not load it. */
  async #load(route: Route, routers: Map<string, Router | Promise<Router>>): Promise<Router> {
    try {
      const { createRouter } = await import("./direct-router.js");
      const router = createRouter(route, this.#host);
      routers.set(route.key, router);
      return router;
    } catch (error) {
      // Let the next call try to load the code again, because the failure may be a temporary network problem.
      routers.delete(route.key);
      throw error;
    }
  }
}
