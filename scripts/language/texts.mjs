// Extracts the prose of a file: Markdown paragraphs, comments, docstrings, message strings, test names, declared names.
// Code inside prose is masked character by character, so that offsets stay and a code span counts as one word.

import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmFromMarkdown } from "mdast-util-gfm";
import { gfm } from "micromark-extension-gfm";
import ts from "typescript";

/** A modifier letter that occurs in no prose. It replaces every character of code. */
export const MASK = "ₓ";

const EXTENSIONS = { extensions: [gfm()], mdastExtensions: [gfmFromMarkdown()] };

/** Blocks whose children are inline: each of them is one text. */
const BLOCKS = new Set(["paragraph", "heading", "tableCell"]);

/** JSDoc tags whose text is code or a name. */
const CODE_TAGS = /^@(example|see|module|template|internal|type|typedef|import|packageDocumentation)\b/;

const TEST_FUNCTIONS = new Set(["test", "it", "describe", "check"]);

const mask = (text) => MASK.repeat(text.length);

/** Counts the line feeds of `text` before `end`. */
function newlines(text, end = text.length) {
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1 && at < end; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

/** The source of the inline nodes below `node`: prose unchanged, code masked, markers of emphasis and links left out. */
function inlineText(node, source) {
  if (node.type === "text") {
    return source.slice(node.position.start.offset, node.position.end.offset).replace(/\n[ \t>]*/g, "\n");
  }
  if (node.type === "break") return "\n";
  if (node.type === "image" || node.type === "imageReference") return node.alt ?? "";
  if (node.type === "inlineCode" || node.type === "html") {
    const raw = source.slice(node.position.start.offset, node.position.end.offset);
    return node.type === "html" ? "" : raw.replace(/[^\n]/g, MASK).replaceAll("\n", MASK);
  }
  const isAutolink =
    node.type === "link" && node.children[0]?.type === "text" && /^https?:/.test(node.children[0].value);
  if (isAutolink) return mask(node.children[0].value);
  return (node.children ?? []).map((child) => inlineText(child, source)).join("");
}

/** The paragraphs, headings and table cells of a Markdown text. */
function markdownTexts(source, kind, firstLine) {
  const texts = [];
  const visit = (node) => {
    if (BLOCKS.has(node.type)) {
      const text = inlineText(node, source).replace(/\b(?:https?|wss?):\/\/[^\s)>\]]+/g, mask);
      const start = firstLine + node.position.start.line - 1;
      if (/\p{L}/u.test(text)) texts.push({ kind, text, lineAt: (index) => start + newlines(text, index) });
      return;
    }
    for (const child of node.children ?? []) visit(child);
  };
  visit(fromMarkdown(source, EXTENSIONS));
  return texts;
}

/** The text of a block comment without its decoration, line for line. */
function undecorated(comment) {
  return comment
    .replace(/^\/\*+ ?/, "")
    .replace(/\s*\*+\/$/, "")
    .replace(/\n[ \t]*\*? ?/g, "\n");
}

/** Splits a docstring into its description and its tags, and leaves out code. Each part is Markdown. */
function docstringTexts(comment, firstLine) {
  const clean = undecorated(comment).replace(/\{@(?:link|linkcode|linkplain|inheritDoc)\b[^}]*\}/g, (link) =>
    link.replace(/[^\n]/g, MASK).replaceAll("\n", MASK),
  );
  const texts = [];
  let line = firstLine;
  for (const part of clean.split(/\n(?=@\w)/)) {
    const isTag = part.startsWith("@");
    if (!CODE_TAGS.test(part)) {
      const prose = isTag ? part.replace(/^@\w+\s*(?:\{[^}]*\}\s*)?(?:[\w.[\]$]+\s+-\s+)?/, "") : part;
      const start = line + newlines(part) - newlines(prose);
      const found = markdownTexts(prose, "docstring", start);
      if (!isTag && found[0]) found[0].isFirst = true;
      texts.push(...found);
    }
    line += newlines(part) + 1;
  }
  return texts;
}

/** Whether the comment is a directive to a tool. */
const isDirective = (comment) =>
  /^\/[/*]+\s*(biome-ignore|@ts-|#region|#endregion|prettier-ignore|\/ <|eslint-|@__|#__|<reference|@vitest)/.test(
    comment,
  );

/** Every comment of a file as { pos, end }. `literals` are the ranges in which `//` opens no comment. */
function* commentRanges(code, literals) {
  let next = 0;
  for (let at = code.startsWith("#!") ? code.indexOf("\n") : 0; at !== -1 && at < code.length; at++) {
    while (next < literals.length && literals[next].end <= at) next++;
    if (next < literals.length && at >= literals[next].pos) {
      at = literals[next].end - 1;
      continue;
    }
    if (code[at] !== "/") continue;
    if (code[at + 1] === "/") {
      const lineEnd = code.indexOf("\n", at);
      const end = lineEnd === -1 ? code.length : lineEnd;
      yield { pos: at, end };
      at = end - 1;
    } else if (code[at + 1] === "*") {
      const end = code.indexOf("*/", at + 2) + 2;
      yield { pos: at, end };
      at = end - 1;
    }
  }
}

/** Whether `pos` is preceded by only white space in its line. */
function startsLine(code, pos) {
  return /^\s*$/.test(code.slice(code.lastIndexOf("\n", pos - 1) + 1, pos));
}

/** The comments of a file; consecutive lines of `//` are one comment. */
function commentTexts(code, literals, lineOf) {
  const texts = [];
  let group;
  const flush = () => {
    if (group) texts.push(...markdownTexts(group.lines.join("\n"), "comment", group.line));
    group = undefined;
  };
  for (const { pos, end } of commentRanges(code, literals)) {
    const comment = code.slice(pos, end);
    const line = lineOf(pos);
    if (isDirective(comment)) {
      flush();
      continue;
    }
    if (comment.startsWith("//")) {
      const content = comment.replace(/^\/\/+ ?/, "");
      if (group && startsLine(code, pos) && line === group.line + group.lines.length) group.lines.push(content);
      else {
        flush();
        group = { line, lines: [content] };
        if (!startsLine(code, pos)) flush();
      }
      continue;
    }
    flush();
    if (comment.startsWith("/**")) texts.push(...docstringTexts(comment, line));
    else texts.push(...markdownTexts(undecorated(comment), "comment", line));
  }
  flush();
  return texts;
}

/** The raw text between the quotes of a literal, with `${…}` masked. */
function literalText(node, source) {
  const raw = node.getText(source).slice(1, -1);
  if (!ts.isTemplateExpression(node))
    return raw
      .replaceAll("\\n", " \n")
      .replace(/\\(["'`\\])/g, " $1")
      .trimEnd();
  const start = node.getStart(source) + 1;
  let text = raw;
  for (const { expression } of node.templateSpans) {
    // With the dollar sign and both braces.
    const from = expression.getFullStart() - 2 - start;
    const to = expression.getEnd() + 1 - start;
    text = text.slice(0, from) + mask(text.slice(from, to)) + text.slice(to);
  }
  return text.replace(/`[^`\n]*`/g, mask);
}

/** Masks the quoted values and the code of a message, which are not its prose. */
const maskCode = (text) => text.replace(/\\?`[^`]*`/g, mask).replace(/https?:\/\/[^\s"')]+/g, mask);

function words(text) {
  return text.split(/\s+/).filter((word) => /\p{L}/u.test(word));
}

/** The name of the test function that a call is of: "test" for `test.each(…)(…)`. */
function testFunction(call) {
  let callee = call.expression;
  while (
    ts.isCallExpression(callee) ||
    ts.isPropertyAccessExpression(callee) ||
    ts.isTaggedTemplateExpression(callee)
  ) {
    callee = ts.isTaggedTemplateExpression(callee) ? callee.tag : callee.expression;
  }
  return ts.isIdentifier(callee) && TEST_FUNCTIONS.has(callee.text) ? callee.text : undefined;
}

function isLiteral(node) {
  return ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateExpression(node);
}

/** Whether the node is the name in a declaration. Names in snake case are those of a protocol. */
function isDeclaredName(node) {
  if (!ts.isIdentifier(node) || node.parent.name !== node || /_[a-z]/.test(node.text)) return false;
  return !ts.isPropertyAccessExpression(node.parent) && !ts.isImportSpecifier(node.parent);
}

/** The texts of a TypeScript or JavaScript file. */
function codeTexts(path, code) {
  const source = ts.createSourceFile(path, code, ts.ScriptTarget.Latest, true);
  const lineOf = (pos) => source.getLineAndCharacterOfPosition(pos).line + 1;
  const isProduct = path.startsWith("src/");
  const literals = [];
  const texts = [];
  const add = (kind, node, text) => {
    const line = lineOf(node.getStart(source));
    texts.push({ kind, text, lineAt: (index) => line + (ts.isStringLiteral(node) ? 0 : newlines(text, index)) });
  };
  const visit = (node) => {
    switch (node.kind) {
      case ts.SyntaxKind.StringLiteral:
      case ts.SyntaxKind.NoSubstitutionTemplateLiteral:
      case ts.SyntaxKind.TemplateHead:
      case ts.SyntaxKind.TemplateMiddle:
      case ts.SyntaxKind.TemplateTail:
      case ts.SyntaxKind.RegularExpressionLiteral:
        literals.push({ pos: node.getStart(source), end: node.getEnd() });
    }
    if (isLiteral(node)) {
      const { parent } = node;
      const isTestName = ts.isCallExpression(parent) && parent.arguments[0] === node && testFunction(parent);
      if (isTestName && !isProduct) add("test name", node, literalText(node, source));
      else if (isProduct && !ts.isImportDeclaration(parent) && !ts.isExportDeclaration(parent)) {
        const text = maskCode(literalText(node, source));
        if (words(text).length >= 4) add("message", node, text);
      }
    }
    if (isProduct && isDeclaredName(node)) add("name", node, node.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  const comments = commentTexts(code, literals, lineOf);
  if (!isProduct) for (const comment of comments) comment.isFirst = false;
  return [...texts, ...comments];
}

/**
 * Extracts the prose of one file. Each text has its `kind` ("markdown", "docstring", "comment", "message", "test name" or
 * "name"), the masked `text`, `lineAt(index)`, and `isFirst` for the first paragraph of a docstring in src.
 */
export function textsOf(path, content) {
  return path.endsWith(".md") ? markdownTexts(content, "markdown", 1) : codeTexts(path, content);
}
