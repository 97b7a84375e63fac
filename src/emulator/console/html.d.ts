/** The page of the console. The build bundles its script and style into the text: scripts/console-page.mjs. */
declare module "*/console.html" {
  const page: {
    readonly html: string;
    /** Hash of the script, for the content security policy. */
    readonly script: string;
    /** Hash of the style. */
    readonly style: string;
  };
  export default page;
}
