export const ESBUILD_VERSION: string;

export const CASES: readonly { name: string; code: string; bar: number; budget: number }[];

export function bundle(code: string): Promise<{ text: string; bytes: number; kB: number }>;
