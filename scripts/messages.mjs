// `npm run messages`: lists every error message, warning and hint of src on a Markdown page, for review. With
// `--write`, writes the page to test/.report/messages.md.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Calls and constructors whose arguments are messages, by the last part of their name. */
const MESSAGE_CALLS = /Error$|^(unfit|warn|fail|reject|refuse)$/;

/** Other literals count as messages if they look like prose, as in tables and helpers. */
const PROSE = /[a-z]{2}[^\n]* [a-z]{2}[^\n]* [a-z]/i;

/** Returns the last part of the name of a callee: "warn" for `logger.warn(…)`. */
function calleeName(node) {
  const callee = node.expression;
  if (ts.isIdentifier(callee)) return callee.text;
  return ts.isPropertyAccessExpression(callee) ? callee.name.text : "";
}

/** Returns the text of a literal, with `${…}` as in the source. Joins the parts of a concatenation. */
function textOf(node, source) {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) return node.getText(source).slice(1, -1);
  if (ts.isParenthesizedExpression(node)) return textOf(node.expression, source);
  if (!isConcatenation(node)) return `\${${node.getText(source)}}`;
  return textOf(node.left, source) + textOf(node.right, source);
}

function isConcatenation(node) {
  return ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken;
}

function isText(node) {
  if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) return true;
  return isConcatenation(node) && (isText(node.left) || isText(node.right));
}

/**
 * Returns the messages of a source file, in order. `from` is the callee that receives the message, or "" for other
 * prose.
 */
function messagesOf(path) {
  const text = readFileSync(join(root, path), "utf8");
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const messages = [];
  const visit = (node, from) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isTypeNode(node)) return;
    let caller = from;
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      const name = calleeName(node);
      caller = MESSAGE_CALLS.test(name) ? name : "";
    }
    if (isText(node)) {
      const message = textOf(node, source);
      const isMessage = caller === "" ? PROSE.test(message) : message.includes(" ");
      if (isMessage) {
        const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
        messages.push({ line, from: caller, message });
        return;
      }
    }
    ts.forEachChild(node, (child) => visit(child, caller));
  };
  visit(source, "");
  return messages;
}

const files = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
  .map((entry) => join(entry.parentPath, entry.name).slice(root.length).replaceAll("\\", "/"))
  // Generated code, and the training text of a language model.
  .filter((path) => !path.startsWith("src/gen/") && path !== "src/emulator/models/llm/english.ts")
  .sort();

const lines = ["# Messages of src", ""];
let count = 0;
for (const path of files) {
  const messages = messagesOf(path);
  if (messages.length === 0) continue;
  count += messages.length;
  lines.push(`## ${path}`, "");
  for (const { line, from, message } of messages) {
    lines.push(`- ${line}${from && ` \`${from}\``}: ${message.replaceAll("\n", "\\n")}`);
  }
  lines.push("");
}
lines.push(`${count} messages.`);
const page = `${lines.join("\n")}\n`;

if (process.argv.includes("--write")) {
  const report = join(root, "test/.report/messages.md");
  mkdirSync(dirname(report), { recursive: true });
  writeFileSync(report, page);
} else {
  process.stdout.write(page);
}
