#!/usr/bin/env -S node --max-semi-space-size=64
/**
 * `cable`: starts the process that the first word names; every other word is a verb of the command line client.
 * The heap's young part may grow to more than node's 16 MB: what requests leave behind is then gone before it counts as old, and a server takes more of them.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Words that start a process, each with its package. */
const PROCESSES = new Map([
  ['server', 'server'],
  ['agent', 'agent'],
  ['kube', 'controller'],
  ['ovn', 'ovn'],
  ['lab', 'lab'],
]);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const word = process.argv[2] ?? '';
const isProcess = PROCESSES.has(word);
const entry = join(root, 'packages', PROCESSES.get(word) ?? 'cli', 'dist', 'main.js');

if (existsSync(entry)) {
  if (isProcess) process.argv.splice(2, 1);
  await import(pathToFileURL(entry).href);
} else {
  process.stderr.write(`cable: not built yet: ${entry} is missing. Run: (cd ${root} && npm run setup)\n`);
  process.exitCode = 1;
}
