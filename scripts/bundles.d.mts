import type { BuildOptions } from "esbuild";

export const ESBUILD_VERSION: string;

export const CASES: readonly { name: string; code: string; bar: number; budget: number }[];

export function pageOf(code: string): BuildOptions & { write: false; metafile: true };

export function bundle(code: string): Promise<{ text: string; files: number; bytes: number; kB: number }>;
