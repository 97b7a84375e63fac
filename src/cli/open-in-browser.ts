import { spawn } from "node:child_process";

/** Returns the command that opens an address in the user's browser. `BROWSER` overrides that of the system. */
function openCommand(env: NodeJS.ProcessEnv): readonly [program: string, ...args: string[]] {
  if (env.BROWSER) return [env.BROWSER];
  if (process.platform === "darwin") return ["open"];
  // The shell of Windows would interpret the address, so it is not used.
  if (process.platform === "win32") return ["rundll32", "url.dll,FileProtocolHandler"];
  return ["xdg-open"];
}

/** Opens an address in the user's browser. Resolves with whether the program for it could be started. */
export function openInBrowser(url: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const [program, ...args] = openCommand(env);
  const child = spawn(program, [...args, url], { stdio: "ignore", detached: true, env });
  // The command line does not wait for the browser.
  child.unref();
  return new Promise((resolve) => {
    child.once("spawn", () => resolve(true));
    child.once("error", () => resolve(false));
  });
}
