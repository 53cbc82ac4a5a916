#!/usr/bin/env node
/** Gluon’s command line client: put a link to this file into the `PATH` as `protonclient`. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const entry = join(root, 'packages/cli/dist/protonclient/main.js');

if (existsSync(entry)) {
  await import(pathToFileURL(entry).href);
} else {
  process.stderr.write(`protonclient: not built yet: ${entry} is missing. Run: (cd ${root} && npm run setup)\n`);
  process.exitCode = 1;
}
