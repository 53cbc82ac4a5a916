/** Joins as an agent does, and kills itself at the step of that number: before and after each change of a file, before it says something to the server. */
import fs, { writeSync } from 'node:fs';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import { silentLogger } from '@cable/kit';
import { openIdentity } from '../../packages/agent/src/joining/host-identity.ts';

const [server = '', host = '', stateDir = '', at = '0'] = process.argv.slice(2);

let left = Number(at);
function step(what: string): void {
  left -= 1;
  if (left !== 0) return;
  writeSync(1, `${what}\n`);
  process.kill(process.pid, 'SIGKILL');
}

const { rename, rm } = fs.promises;
const { request } = https;

/** The call, with a step before and after it. */
function watched<A extends readonly unknown[], R>(name: string, call: (...args: A) => Promise<R>) {
  return async (...args: A): Promise<R> => {
    const file = basename(String(args[name === 'rename' ? 1 : 0]));
    step(`before ${name} ${file}`);
    const done = await call(...args);
    step(`after ${name} ${file}`);
    return done;
  };
}

Object.assign(fs.promises, { rename: watched('rename', rename), rm: watched('rm', rm) });
https.request = ((...args: Parameters<typeof request>) => {
  step('before the request');
  return request(...args);
}) as typeof request;
syncBuiltinESMExports();

const stop = new AbortController();
const identity = await openIdentity(
  { server, host, stateDir, tlsFiles: null, join: { text: process.env['CABLE_JOIN_TOKEN'] ?? '' } },
  { log: silentLogger(), signal: stop.signal },
);
identity?.onNew(() => {
  writeSync(1, 'joined\n');
  stop.abort();
});
