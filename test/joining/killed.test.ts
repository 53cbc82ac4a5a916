/** An agent that is killed while it joins, at each of its steps in turn, joins by the same token when it is started again. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type ClientTls, silentLogger } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import { type IdentityOptions, openIdentity } from '../../packages/agent/src/joining/host-identity.ts';
import { startSecureServer } from './secure-server.ts';

const PROGRAM = fileURLToPath(new URL('killed-program.ts', import.meta.url));

/** Steps of a joining, at each of which it may be killed: more than there are. */
const MOST_STEPS = 30;

test('whenever an agent is killed while it joins, the next one joins by the same token', async (t) => {
  const server = await startSecureServer(t);
  const said: string[] = [];
  for (let step = 1; step <= MOST_STEPS; step += 1) {
    const host = `k${step}`;
    const token = await server.token({ host });
    const stateDir = join(server.directory, host);
    const first = await run({ url: server.url, host, stateDir, token, step });
    said.push(first.step);
    if (!first.joined) await joinHere({ server: server.url, host, stateDir, tlsFiles: null, join: { text: token } });
    // Killed behind the last step but one it leaves the key that is in host.pem, too: the next renewal makes another.
    const files = (await readdir(join(stateDir, 'joined'))).filter((name) => name !== 'next.key');
    assert.deepEqual(files.sort(), ['authorities.pem', 'host.pem'], first.step);
    assert.match(await readFile(join(stateDir, 'joined', 'host.pem'), 'utf8'), new RegExp(token.slice(0, 12)));
    if (!first.joined) continue;
    // It has come to its end without meeting the step: all were met before.
    assert.ok(
      said.some((one) => one === 'after rename host.pem'),
      said.join(', '),
    );
    assert.ok(said.some((one) => one === 'before rename authorities.pem'));
    return;
  }
  assert.fail(`there are more steps than ${MOST_STEPS}: ${said.join(', ')}`);
});

/** The next agent, which nobody kills. */
async function joinHere(options: IdentityOptions): Promise<void> {
  const stop = new AbortController();
  const identity = await openIdentity(options, { log: silentLogger(), signal: stop.signal });
  assert.ok(identity);
  const { tls, onNew, done } = identity;
  await new Promise<void>((resolve) => {
    onNew(resolve);
    // Killed after it wrote its certificate, it has joined before.
    if (hasJoined(tls)) resolve();
  });
  stop.abort();
  await done;
}

function hasJoined(tls: () => ClientTls): boolean {
  try {
    return tls().own !== undefined;
  } catch {
    return false;
  }
}

type Killed = {
  readonly url: string;
  readonly host: string;
  readonly stateDir: string;
  readonly token: string;
  readonly step: number;
};

/** `step`: where it was killed. */
async function run({
  url,
  host,
  stateDir,
  token,
  step,
}: Killed): Promise<{ readonly joined: boolean; readonly step: string }> {
  const args = [...sourceProgram(PROGRAM), url, host, stateDir, String(step)];
  const env = { ...process.env, CABLE_JOIN_TOKEN: token };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const [code, signal] = await once(child, 'close');
  const joined = out.includes('joined\n');
  assert.deepEqual([code, signal], joined ? [0, null] : [null, 'SIGKILL'], out);
  return { joined, step: out.trim().split('\n').at(-1) ?? '' };
}
