// The language linter without its command line: applies the rules and the exceptions to one file at a time.

import { check } from "./rules.mjs";
import { MASK, textsOf } from "./texts.mjs";

const MARKDOWN =
  /^(?:(?:README|CONTRIBUTING|SECURITY|CHANGELOG)\.md|docs\/.*\.md|bench\/NOTES\.md|(?:test|examples)\/(?:.*\/)?README\.md)$/;
const CODE = /^(?:src|test|scripts|bench|examples)\/.*\.(?:ts|mts|mjs|js)$/;
const GENERATED = /^src\/gen\//;

/** Checks files against the rules. */
export class Linter {
  #phrases;
  #files;
  #used = new Set();

  /**
   * `exceptions.phrases` are texts that no rule looks at: { text, in, reason }, where `in` is the start of a path and
   * optional. `exceptions.files` are paths that are not checked: { path, reason }.
   */
  constructor({ phrases = [], files = [] } = {}) {
    for (const { text, path, reason } of [...phrases, ...files]) {
      if (!reason) throw new Error(`exception ${JSON.stringify(text ?? path)}: no reason. Add one.`);
    }
    this.#phrases = phrases;
    this.#files = files;
  }

  /** Whether the linter checks the file at `path`, which is relative to the repository. */
  covers(path) {
    if (GENERATED.test(path) || !(MARKDOWN.test(path) || CODE.test(path))) return false;
    const exception = this.#files.find((file) => path === file.path || path.startsWith(`${file.path}/`));
    if (exception) this.#used.add(exception);
    return !exception;
  }

  /** Returns the findings in a file as { path, line, found, write, rule }, in the order of lines. */
  lint(path, content) {
    const phrases = this.#phrases.filter((phrase) => path.startsWith(phrase.in ?? ""));
    const texts = textsOf(path, content);
    if (path.startsWith("src/")) texts.push({ kind: "path", text: path, lineAt: () => 1 });
    return texts
      .flatMap((text) => this.#findings(text, phrases).map((finding) => ({ path, ...finding })))
      .sort((a, b) => a.line - b.line);
  }

  /** Returns the exceptions that matched nothing so far. */
  unusedExceptions() {
    return [...this.#phrases, ...this.#files].filter((exception) => !this.#used.has(exception));
  }

  #findings(text, phrases) {
    let masked = text.text;
    for (const phrase of phrases) {
      if (!masked.includes(phrase.text)) continue;
      masked = masked.replaceAll(phrase.text, MASK.repeat(phrase.text.length));
      this.#used.add(phrase);
    }
    return check({ ...text, text: masked }).map(({ index, rule, found, write }) => ({
      line: text.lineAt(index),
      found: found.replace(/ₓ+/g, "`…`"),
      write,
      rule,
    }));
  }
}
