import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Exceptions, type Finding, Linter } from "../../../scripts/language/linter.mjs";

function lint(path: string, content: string, exceptions?: Exceptions): Finding[] {
  return new Linter(exceptions).lint(path, content);
}

const rulesIn = (path: string, content: string) => lint(path, content).map(({ rule }) => rule);

describe("phrases", () => {
  test.each([
    ["is-no", "A queue is no list.", "There is no list of queues."],
    ["is-no", "An empty header is none.", "There are none."],
    ["is-no", "The socket is no tunnel.", "The socket is no longer open."],
    ["is-no", "It has none.", "It has none of them."],
    ["is-no", "It reads nothing, nor has it a body.", "It has neither a head nor a body."],
    ["else", "Pass a token, or else the call fails.", "Nothing else is needed."],
    ["else", "It retries; else it fails.", "It accepts anything else."],
    ["else", "Returns the body; undefined else.", "The first wins, everything else is dropped."],
    ["beside", "Install it beside the package.", "Install it besides the package."],
    ["actor", "Nobody reads the stream.", "No caller reads the stream."],
    ["actor", "Who reads the stream must end it.", "Who reads the stream?"],
    ["actor", "It is sent to who asks.", "Developers who ask get it."],
    ["actor", "The slots of those who wait.", "The slots of waiting calls."],
    ["again", "The watch is made again.", "The call is made once."],
    ["again", "The table is built anew.", "The table is rebuilt."],
    ["undone", "The coding is undone by the client.", "The body is decoded by the client."],
    ["at-most", "It takes 8 at the most.", "It takes at most 8."],
    ["at-most", "The most bytes that a frame takes.", "For the most part, frames are small."],
    ["at-most", "The greatest index.", "The value is greater."],
    ["told", "Hooks hear of each attempt.", "Hooks receive each attempt."],
    ["told", "The caller is told once.", "The two cannot be told apart."],
    ["told", "It tells of failures.", "It reports failures."],
    ["clock", "The call ends by its own clock.", "The call times out by its own timer."],
    ["lets-go", "It lets go of the connection.", "It lets the connection idle."],
    ["lets-go", "It gives the item back.", "It returns the item, back to front."],
    ["what-came", "It keeps what came.", "It keeps what the server sent."],
    ["of-use", "The option is of use in pages.", "These are the terms of use."],
    ["stands", "One number stands for all channels.", "It is a standing order."],
    ["stands", "The token stands in the header.", "A standalone build."],
    ["turn", "Each source is read in turn.", "The turn of the event loop ends."],
    ["for-ever", "It waits for ever.", "It waits indefinitely."],
    ["for-ever", "It polls ever more seldom.", "It polls more rarely than ever."],
    ["as-came", "Bytes go on as they came.", "It came as a surprise."],
    ["as-came", "The body is sent as it is.", "It is sent as it is read."],
    ["words", "It explains the failure in words.", "In other words, it fails."],
    ["words", "The header is dropped without a word.", "The text has a thousand words."],
    ["time", "A request has no time of its own: it has a time, too.", "The time is in milliseconds."],
    ["cost", "A probe is cheap.", "A probe is inexpensive."],
    ["cost", "It is quick.", "The quick start is on another page."],
    ["ones", "Short ones pass.", "It fills a tensor with zeros and ones."],
    ["ones", "It closes the other one.", "It closes one of them."],
    ["archaic", "It aborts lest the page hang.", "At least the page works."],
  ])("%s: finds %j and not %j", (rule, wrong, right) => {
    expect(rulesIn("README.md", wrong)).toContain(rule);
    expect(rulesIn("README.md", right)).toEqual([]);
  });

  test("a rule finds a phrase once", () => {
    expect(rulesIn("README.md", "Who reads the stream must end it. Who waits must not.")).toEqual(["actor", "actor"]);
  });

  test("a finding has the line, the words and what to write", () => {
    expect(lint("docs/page.md", "# Title\n\nThe first line\nwaits for\never.\n")).toEqual([
      { path: "docs/page.md", line: 4, found: "for ever", write: "indefinitely", rule: "for-ever" },
    ]);
  });
});

describe("sentence length", () => {
  const sentence = (words: number) => `The ${"word ".repeat(words - 2)}ends.`;

  test("finds a sentence of 31 words, not one of 30", () => {
    expect(rulesIn("README.md", sentence(31))).toEqual(["length"]);
    expect(rulesIn("README.md", `${sentence(30)} ${sentence(30)}`)).toEqual([]);
    expect(rulesIn("src/a.ts", `/** ${sentence(31)} */`)).toEqual(["length"]);
  });

  test("counts a code span as one word", () => {
    expect(rulesIn("README.md", `${sentence(29).slice(0, -1)} \`{ a: 1, b: 2, c: 3 }\`.`)).toEqual([]);
  });

  test("does not end a sentence at an abbreviation", () => {
    const text = `${"word ".repeat(20)}e.g. ${"Word ".repeat(20)}`;
    expect(rulesIn("README.md", text)).toEqual(["length"]);
  });

  test("counts items of a list and cells of a table alone", () => {
    const item = "word ".repeat(20);
    expect(rulesIn("README.md", `- ${item}\n- ${item}\n`)).toEqual([]);
    expect(rulesIn("README.md", `| a | b |\n| - | - |\n| ${item} | ${item} |\n`)).toEqual([]);
  });
});

describe("spelling", () => {
  test.each([
    ["serialised", "serialized"],
    ["Normalising", "Normalizing"],
    ["organisation", "organization"],
    ["behaviours", "behaviors"],
    ["neighbouring", "neighboring"],
    ["cancelled", "canceled"],
    ["labelling", "labeling"],
    ["analyse", "analyze"],
    ["centre", "center"],
    ["catalogue", "catalog"],
    ["licence", "license"],
    ["grey", "gray"],
    ["CANCELLED", "CANCELED"],
  ])("%s is written %s", (british, american) => {
    expect(lint("README.md", british)).toMatchObject([{ found: british, write: american }]);
    expect(lint("README.md", american)).toEqual([]);
  });

  test.each([
    "promise raise otherwise exercise precise revised advertising comprised noise rising enterprises supervision",
    "hour four source course called filled installed polling controller cancellation analyses basis expertise",
  ])("accepts %s", (words) => {
    expect(lint("README.md", words)).toEqual([]);
  });

  test("looks at declared names and paths of src, not at uses and names in snake case", () => {
    expect(lint("src/serialise.ts", "export const a = 1;")).toMatchObject([{ line: 1, found: "serialise" }]);
    expect(lint("src/a.ts", "let x;\nexport class HttpSerialiser {}")).toMatchObject([
      { line: 2, write: "Serializer" },
    ]);
    expect(lint("src/a.ts", "interface A { isColour: boolean }")).toMatchObject([{ found: "Colour" }]);
    expect(lint("src/a.ts", "interface A { cancelled_at: number }\nfoo.colour;")).toEqual([]);
    expect(lint("test/a.ts", "const colour = 1;")).toEqual([]);
  });
});

describe("first lines of docstrings", () => {
  test.each(["What a call needs.", "Who answered.", "How long to wait.", "Where it is.", "When it ends."])(
    "finds %j in src",
    (text) => {
      expect(rulesIn("src/a.ts", `/** ${text} */`)).toContain("first-line");
      expect(rulesIn("test/a.ts", `/** ${text} */`)).not.toContain("first-line");
    },
  );

  test("accepts a noun, a verb and later sentences", () => {
    expect(rulesIn("src/a.ts", "/** The result of a call. */")).toEqual([]);
    expect(rulesIn("src/a.ts", "/** Whether the call ended. How it ended is in `state`. */")).toEqual([]);
    expect(rulesIn("src/a.ts", "/**\n * Sends a call.\n * @param a - When given, the body.\n */")).toEqual([]);
  });
});

describe("what is read", () => {
  test.each([
    ["README.md", "```ts\nwaits for ever\n```\n\n`for ever` and [a link](https://a.b/for-ever)"],
    ["src/a.ts", 'const a = "for ever";\nimport "for ever and a day";\n/[/]* for ever/.test(a);'],
    ["src/a.ts", "/**\n * Sends.\n * @example\n * waits for ever\n */"],
    ["src/a.ts", "const a = `$" + "{`x // for ever`}` + 1;"],
    ["test/a.ts", 'fail("it waits for ever here");'],
  ])("no code: %s %j", (path, content) => {
    expect(lint(path, content)).toEqual([]);
  });

  test.each([
    ["src/a.ts", "\n\n// It waits\n// for ever.", 4],
    ["src/a.ts", "\n/*\n * It waits\n * for ever. */", 4],
    ["src/a.ts", "\n/**\n * Waits.\n *\n * It waits for ever.\n */", 5],
    ["src/a.ts", "\n/**\n * Waits.\n * @param a - Waits for ever.\n */", 4],
    ["src/a.ts", '\nthrow new Error("a: it waits for ever");', 2],
    ["src/a.ts", "\nthrow new Error(`$" + "{a}: it waits for ever`);", 2],
    ["test/a.test.ts", '\ntest("waits for ever", () => {});', 2],
    ["test/a.test.ts", '\ntest.each([1])("waits for ever", () => {});', 2],
    ["test/a.test.ts", "\ndescribe.skipIf(true)(`waits for ever`, () => {});", 2],
    ["scripts/a.mjs", "#!/usr/bin/env node // for\n\n// for ever", 3],
    ["docs/a.md", "| a |\n| - |\n| for ever |\n", 3],
  ])("%s %j", (path, content, line) => {
    expect(lint(path, content)).toMatchObject([{ line, found: "for ever" }]);
  });

  test("covers prose and code, not generated files", () => {
    const linter = new Linter();
    for (const path of ["README.md", "docs/a/b.md", "bench/NOTES.md", "test/a/README.md", "src/a.ts", "bench/a.mjs"]) {
      expect(linter.covers(path)).toBe(true);
    }
    for (const path of ["LICENSE.md", "bench/RESULTS.md", "src/gen/a.ts", "proto/a.proto", "package.json"]) {
      expect(linter.covers(path)).toBe(false);
    }
  });
});

describe("exceptions", () => {
  const exceptions = {
    phrases: [
      { text: "grey level", in: "docs/", reason: "the title of a paper" },
      { text: "beside itself", reason: "an idiom" },
    ],
    files: [{ path: "src/words", reason: "data" }],
  };

  test("a phrase is accepted where its path begins so", () => {
    expect(lint("docs/a.md", "A grey level.", exceptions)).toEqual([]);
    expect(lint("README.md", "A grey level.", exceptions)).toHaveLength(1);
    expect(lint("docs/a.md", "A grey box.", exceptions)).toHaveLength(1);
  });

  test("a file or a folder is not covered", () => {
    const linter = new Linter(exceptions);
    expect([linter.covers("src/words/a.ts"), linter.covers("src/words-b.ts")]).toEqual([false, true]);
  });

  test("reports those that matched nothing", () => {
    const linter = new Linter(exceptions);
    linter.lint("docs/a.md", "A grey level.");
    expect(linter.unusedExceptions()).toEqual([exceptions.phrases[1], exceptions.files[0]]);
  });

  test("refuses one without a reason", () => {
    expect(() => new Linter({ phrases: [{ text: "grey", reason: "" }] })).toThrow('exception "grey": no reason.');
  });
});

describe("the command", () => {
  const script = fileURLToPath(new URL("../../../scripts/language/lint.mjs", import.meta.url));
  let root: string;
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, "--root", root, ...args], {
      encoding: "utf8",
    });
    return { status, stdout, stderr };
  };

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "language-"));
    spawnSync("git", ["init", "-q", root]);
    mkdirSync(join(root, "src/http"), { recursive: true });
    writeFileSync(join(root, "README.md"), "It waits for ever.\n");
    writeFileSync(join(root, "src/http/a.ts"), "// It is beside the point.\n// Its behaviour differs.\n");
    writeFileSync(join(root, "src/http/b.ts"), "// It is fine.\n");
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  test("prints each finding and exits with 1", () => {
    expect(run("--", ".")).toEqual({
      status: 1,
      stdout:
        'README.md:1: found "for ever": write indefinitely [for-ever]\n' +
        'src/http/a.ts:1: found "beside": write besides, in addition to, or next to [beside]\n' +
        'src/http/a.ts:2: found "behaviour": write behavior [spelling]\n' +
        "3 findings\n",
      stderr: "",
    });
  });

  test("exits with 0 when the given paths are clean", () => {
    expect(run("--", "src/http/b.ts")).toEqual({ status: 0, stdout: "0 findings\n", stderr: "" });
  });

  test("counts per folder and rule", () => {
    expect(run("--count", "--", ".").stdout.split("\n")).toEqual([
      "folder     beside  for-ever  spelling  total",
      "README.md       ·         1         ·      1",
      "src/http        1         ·         1      2",
      "all             1         1         1      3",
      "3 findings",
      "",
    ]);
  });

  test("refuses a path that does not exist", () => {
    const { status, stderr } = run("--", "no-such-folder");
    expect(status).not.toBe(0);
    expect(stderr).toContain("no-such-folder: no such file or folder");
  });
});
