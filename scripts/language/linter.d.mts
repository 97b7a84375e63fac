export interface Finding {
  path: string;
  line: number;
  found: string;
  write: string;
  rule: string;
}

export interface Exceptions {
  phrases?: readonly { text: string; in?: string; reason: string }[];
  files?: readonly { path: string; reason: string }[];
}

export class Linter {
  constructor(exceptions?: Exceptions);
  covers(path: string): boolean;
  lint(path: string, content: string): Finding[];
  unusedExceptions(): NonNullable<Exceptions["phrases" | "files"]>[number][];
}
