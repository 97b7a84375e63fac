import type { Plugin } from "esbuild";

export function bundleConsolePage(): Promise<{ html: string; script: string; style: string }>;
export const consolePage: Plugin;
export const viteConsolePage: {
  name: string;
  enforce: "pre";
  load(id: string): Promise<string> | undefined;
};
