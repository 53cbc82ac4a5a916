/** `cable`: the command line client's process. */
import { readFileSync } from 'node:fs';
import { httpTransport } from '@cable/kit';
import { BUILT_IN_RESOURCES } from '@cable/model';
import { createModelLoader } from './model-loader.ts';
import { runCommandLine } from './program.ts';

// A reader that has seen enough (`cable port list | head`) is no error.
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code !== 'EPIPE') throw err;
  process.exit(0);
});

const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

process.exitCode = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  loadModels: createModelLoader({ env: process.env, fallback: BUILT_IN_RESOURCES }),
  connect: httpTransport,
  print: (text) => void process.stdout.write(text),
  printError: (text) => void process.stderr.write(text),
  version: String((manifest as { readonly version: unknown }).version),
});
