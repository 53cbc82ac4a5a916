/** `protonclient`, as Gluon's users know it. */
import { httpTransport } from '@cable/kit';
import { runProtonClient } from './client.ts';

process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code !== 'EPIPE') throw err;
  process.exit(0);
});

process.exitCode = await runProtonClient(process.argv.slice(2), {
  env: process.env,
  connect: httpTransport,
  print: (text) => void process.stdout.write(text),
  printError: (text) => void process.stderr.write(text),
});
