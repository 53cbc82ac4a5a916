#!/usr/bin/env node
/** `kubectl cable`: kubectl runs what is called `kubectl-cable` in the PATH. A link of that name to this file suffices. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const entry = join(root, 'packages/cli/dist/kubectl/main.js');

if (existsSync(entry)) {
  await import(pathToFileURL(entry).href);
} else {
  process.stderr.write(`kubectl-cable: not built yet: ${entry} is missing. Run: (cd ${root} && npm run setup)\n`);
  process.exitCode = 1;
}
