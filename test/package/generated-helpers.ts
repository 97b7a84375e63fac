import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../..", import.meta.url));
const NAME = "eas-prediction";

/** A module of helpers: one for each signature of each public function, constructor and method. */
export interface GeneratedHelpers {
  readonly text: string;
  /** The subject of each line of the text, such as `eas-prediction PredictClient.predict`. */
  readonly names: ReadonlyMap<number, string>;
  /** Types that a helper must name but that no entry exports. */
  readonly unexported: ReadonlySet<string>;
  /** Signatures that omit a type or use `any`, and functions that are declared as constants. */
  readonly untyped: ReadonlySet<string>;
}

/** Returns each public entry of package.json and its declarations. */
function entries(): Map<string, string> {
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
    exports: Readonly<Record<string, { readonly import?: { readonly types: string } }>>;
  };
  const found = new Map<string, string>();
  for (const [path, entry] of Object.entries(exports)) {
    if (entry.import) found.set(NAME + path.slice(1), root + entry.import.types.slice(2));
  }
  return found;
}

type Signature = ts.FunctionDeclaration | ts.MethodDeclaration | ts.MethodSignature | ts.ConstructorDeclaration;
type Generic = ts.ClassDeclaration | ts.InterfaceDeclaration;

/** Generates helpers with the types of the built declarations, imported from public entries. */
export function generateHelpers(): GeneratedHelpers {
  const modules = entries();
  const program = ts.createProgram([...modules.values()], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    skipLibCheck: true,
  });
  const checker = program.getTypeChecker();
  const resolved = (symbol: ts.Symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;

  /** The expression for each exported symbol. */
  const written = new Map<ts.Symbol, string>();
  const isTypeOnly = new Map<ts.Symbol, boolean>();
  const lines: string[] = [];
  for (const [i, [entry, file]] of [...modules].entries()) {
    const source = program.getSourceFile(file);
    const module = source && checker.getSymbolAtLocation(source);
    if (module === undefined) throw new Error(`${file} is not a module: run npm run build`);
    lines.push(`import * as m${i} from "${entry}";`);
    for (const symbol of checker.getExportsOfModule(module)) {
      const target = resolved(symbol);
      const typeOnly = (symbol.declarations ?? []).some(
        (each) => ts.isExportSpecifier(each) && (each.isTypeOnly || each.parent.parent.isTypeOnly),
      );
      if (written.has(target) && (typeOnly || !isTypeOnly.get(target))) continue;
      written.set(target, `m${i}.${symbol.name}`);
      isTypeOnly.set(target, typeOnly);
    }
  }

  const names = new Map<number, string>();
  const unexported = new Set<string>();
  const untyped = new Set<string>();
  const external = new Map<string, string>();

  /** Returns the text of a type, with the names under which the entries export types. */
  const textOf = (node: ts.Node, of: string, given?: ReadonlyMap<ts.Symbol, string>): string => {
    const source = node.getSourceFile();
    const changes: { readonly start: number; readonly end: number; readonly text: string }[] = [];
    const visit = (each: ts.Node): void => {
      if (each.kind === ts.SyntaxKind.AnyKeyword) untyped.add(of);
      ts.forEachChild(each, visit);
      if (!ts.isIdentifier(each)) return;
      const parent = each.parent;
      const isReference =
        (ts.isTypeReferenceNode(parent) && parent.typeName === each) ||
        (ts.isExpressionWithTypeArguments(parent) && parent.expression === each) ||
        (ts.isTypeQueryNode(parent) && parent.exprName === each) ||
        (ts.isQualifiedName(parent) && parent.left === each);
      const found = isReference ? checker.getSymbolAtLocation(each) : undefined;
      if (found === undefined) return;
      const symbol = resolved(found);
      const declaration = symbol.declarations?.[0];
      if (declaration === undefined || ts.isParameter(declaration)) return;
      let text = given?.get(symbol) ?? written.get(symbol);
      if (text === undefined) {
        if (ts.isTypeParameterDeclaration(declaration)) return;
        if (declaration.getSourceFile().fileName.startsWith(`${root}dist/`))
          return void unexported.add(`${of}: ${symbol.name}`);
        const specifier = found.declarations?.[0];
        const importing = specifier && ts.findAncestor(specifier, ts.isImportDeclaration);
        if (importing === undefined) return;
        text = `x_${found.name}`;
        external.set(`import type { ${symbol.name} as ${text} } from ${importing.moduleSpecifier.getText()};`, text);
      }
      changes.push({ start: each.getStart(source), end: each.getEnd(), text });
    };
    visit(node);
    let text = source.text.slice(node.getStart(source), node.getEnd());
    for (const { start, end, text: name } of changes.sort((a, b) => b.start - a.start)) {
      text = text.slice(0, start - node.getStart(source)) + name + text.slice(end - node.getStart(source));
    }
    return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\s+/g, " ");
  };

  const isPublic = (node: ts.Declaration) =>
    !(ts.getCombinedModifierFlags(node) & ts.ModifierFlags.NonPublicAccessibilityModifier);
  const parametersOf = (node: Generic | Signature, of: string, given?: ReadonlyMap<ts.Symbol, string>) =>
    (node.typeParameters ?? []).map(({ name, constraint }) =>
      constraint === undefined ? name.text : `${name.text} extends ${textOf(constraint, of, given)}`,
    );
  const argumentsOf = (node: Generic | Signature) =>
    node.typeParameters === undefined ? "" : `<${node.typeParameters.map((each) => each.name.text).join(", ")}>`;

  /** Returns the type arguments of the class that declares an inherited method. */
  const inherited = (type: ts.Type, from: ts.Node): ReadonlyMap<ts.Symbol, string> => {
    for (const base of type.isClassOrInterface() ? checker.getBaseTypes(type) : []) {
      const { target = base } = base as ts.TypeReference;
      if (target.symbol.declarations?.includes(from as ts.Declaration)) {
        const own = (target as ts.InterfaceType).typeParameters ?? [];
        const types = checker.getTypeArguments(base as ts.TypeReference);
        return new Map(own.map((each, i) => [each.symbol, checker.typeToString(types[i] as ts.Type)]));
      }
      const further = inherited(target, from);
      if (further.size > 0) return further;
    }
    return new Map();
  };

  const emit = (
    of: string,
    signature: Signature,
    callee: string,
    self?: string,
    owner?: Generic,
    bound?: ReadonlyMap<ts.Symbol, string>,
  ) => {
    const isConstructor = ts.isConstructorDeclaration(signature);
    const takesOwner = owner !== undefined && (self !== undefined || isConstructor);
    const generics = [...(takesOwner ? parametersOf(owner, of) : []), ...parametersOf(signature, of, bound)];
    const parameters = self === undefined ? [] : [`self: ${self}`];
    const given: string[] = [];
    for (const parameter of signature.parameters) {
      const name = ts.isIdentifier(parameter.name) ? parameter.name.text : `p${given.length}`;
      if (name === "this") continue;
      if (parameter.type === undefined) untyped.add(of);
      const type = parameter.type === undefined ? "unknown" : textOf(parameter.type, of, bound);
      const rest = parameter.dotDotDotToken ? "..." : "";
      parameters.push(`${rest}${name}${parameter.questionToken ? "?" : ""}: ${type}`);
      given.push(rest + name);
    }
    const owned = owner === undefined ? "" : `${written.get(symbolOf(owner))}${argumentsOf(owner)}`;
    let result = owned;
    if (!isConstructor) {
      if (signature.type === undefined) untyped.add(of);
      else
        result = signature.type.kind === ts.SyntaxKind.ThisType ? (self ?? owned) : textOf(signature.type, of, bound);
    }
    names.set(lines.length, of);
    const typeParameters = generics.length === 0 ? "" : `<${generics.join(", ")}>`;
    const isOptional = ts.isMethodSignature(signature) && signature.questionToken !== undefined;
    if (isOptional) result += " | undefined";
    const call = `${callee}${isOptional ? "?." : ""}${argumentsOf(signature)}(${given.join(", ")})`;
    lines.push(
      `export function h${lines.length}${typeParameters}(${parameters.join(", ")}): ${result} { return ${call}; }`,
    );
  };
  const accessOf = (name: ts.PropertyName) => (ts.isComputedPropertyName(name) ? name.getText() : `.${name.getText()}`);
  const symbolOf = (node: Generic) => checker.getSymbolAtLocation(node.name as ts.Identifier) as ts.Symbol;

  const named = (path: string) => path.replace(/^m(\d+)/, (_, i) => [...modules.keys()][i] as string);
  const members = (symbol: ts.Symbol, declaration: Generic, path: string): void => {
    const of = (name: string) => `${named(path)} ${name}`;
    const type = checker.getDeclaredTypeOfSymbol(symbol);
    for (const member of checker.getPropertiesOfType(type)) {
      for (const method of member.declarations ?? []) {
        if (!(ts.isMethodDeclaration(method) || ts.isMethodSignature(method)) || !isPublic(method)) continue;
        if (!method.getSourceFile().fileName.startsWith(`${root}dist/`)) continue;
        const name = method.name.getText();
        const bound = inherited(type, method.parent);
        emit(of(name), method, `self${accessOf(method.name)}`, path + argumentsOf(declaration), declaration, bound);
      }
    }
    if (!ts.isClassDeclaration(declaration) || isTypeOnly.get(symbol)) return;
    for (const member of declaration.members) {
      if (
        ts.isMethodDeclaration(member) &&
        isPublic(member) &&
        ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Static
      )
        emit(of(`static ${member.name.getText()}`), member, path + accessOf(member.name), undefined, declaration);
    }
    if (ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Abstract) return;
    for (const { declaration: made } of checker.getTypeOfSymbol(symbol).getConstructSignatures()) {
      if (made !== undefined && ts.isConstructorDeclaration(made) && isPublic(made))
        emit(of("new"), made, `new ${path}${argumentsOf(declaration)}`, undefined, declaration);
    }
  };

  for (const [symbol, path] of written) {
    for (const declaration of symbol.declarations ?? []) {
      if (!declaration.getSourceFile().fileName.startsWith(`${root}dist/`)) continue;
      if (ts.isFunctionDeclaration(declaration)) {
        if (!isTypeOnly.get(symbol)) emit(named(path), declaration, path);
      } else if (ts.isClassDeclaration(declaration) || ts.isInterfaceDeclaration(declaration)) {
        // A class may be merged with an interface, so that its type has the members of both.
        const all = symbol.declarations ?? [];
        if (declaration === (all.find(ts.isClassDeclaration) ?? all.find(ts.isInterfaceDeclaration)))
          members(symbol, declaration, path);
      } else if (ts.isVariableDeclaration(declaration)) {
        // A constant such as `batch` has the type of an exported interface.
        const isNamed = declaration.type !== undefined && ts.isTypeReferenceNode(declaration.type);
        if (!isNamed && checker.getTypeOfSymbol(symbol).getCallSignatures().length > 0)
          untyped.add(`${named(path)}: a constant`);
      }
    }
  }
  return { text: [...lines, ...external.keys()].join("\n"), names, unexported, untyped };
}
