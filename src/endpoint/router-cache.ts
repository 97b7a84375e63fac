import type { Route } from "./direct-route.js";
import type { EndpointSource } from "./endpoint-source.js";
import type { Router, RouterHost } from "./router.js";

/** The routers of the services that are reached directly, each shared by all clients of the pool. */
export class RouterCache {
  readonly #host: RouterHost;
  readonly #routers = new Map<EndpointSource | undefined, Map<string, Router | Promise<Router>>>();

  constructor(host: RouterHost) {
    this.#host = host;
  }

  /** The router of a route; a promise until its code is loaded. */
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

  close(): void {
    for (const ofSource of this.#routers.values()) {
      for (const router of ofSource.values()) void Promise.resolve(router).then((router) => router.close());
    }
  }

  /** On first use, so that pages and processes behind a gateway do not load it. */
  async #load(route: Route, routers: Map<string, Router | Promise<Router>>): Promise<Router> {
    try {
      const { createRouter } = await import("./direct-router.js");
      const router = createRouter(route, this.#host);
      routers.set(route.key, router);
      return router;
    } catch (error) {
      // A page may have been without a network for a moment.
      routers.delete(route.key);
      throw error;
    }
  }
}
