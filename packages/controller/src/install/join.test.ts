/** When a node asks for a token, and when its agent starts without one. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger, TransportError } from '@cable/kit';
import {
  type Authority,
  createAuthority,
  createJoinToken,
  createKey,
  formatJoinToken,
  issueWithKey,
  validityFrom,
} from '@cable/pki';
import { getJoinToken, type Joined } from './join.ts';

const DAY_MS = 86_400_000;

type Answer = { readonly status: number; readonly body: string } | 'silent';

type Bed = {
  readonly directory: string;
  readonly authority: Authority;
  readonly out: string;
  /** The agent has joined by an authority, with a certificate that is good for so long. */
  joined(authority: Authority, lifeMs: number): Promise<void>;
  run(answers: readonly Answer[]): Promise<{ readonly how: Joined; readonly asked: readonly string[] }>;
};

async function makeAuthority(): Promise<Authority> {
  return await createAuthority(await createKey(), validityFrom(new Date(), 10 * DAY_MS));
}

async function bed(t: TestContext): Promise<Bed> {
  const directory = mkdtempSync(join(tmpdir(), 'cable-join-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const [stateDir, out, tokenFile] = [join(directory, 'node-1'), join(directory, 'out'), join(directory, 'token')];
  writeFileSync(tokenFile, 'account-token\n');
  const authority = await makeAuthority();
  return {
    ...{ directory, authority, out },
    joined: async (by, lifeMs) => {
      const identity = { kind: 'host', name: 'node-1' } as const;
      const { certificate, key } = await issueWithKey(by, { identity, validity: validityFrom(new Date(), lifeMs) });
      mkdirSync(join(stateDir, 'joined'), { recursive: true });
      writeFileSync(join(stateDir, 'joined/host.pem'), `Joined by token 012345678901.\n${certificate}${key}`);
      writeFileSync(join(stateDir, 'joined/authorities.pem'), by.certificate);
    },
    run: async (answers) => {
      const asked: string[] = [];
      let now = Date.now();
      const transport = {
        request: async ({ headers }: { readonly headers?: Readonly<Record<string, string>> }) => {
          asked.push(String(headers?.['authorization']));
          now += 20_000;
          const answer = answers[Math.min(asked.length, answers.length) - 1] ?? 'silent';
          if (answer === 'silent') throw new TransportError('no-answer', 'nobody answers');
          return { headers: {}, ...answer };
        },
      };
      const how = await getJoinToken(
        { stateDir, ca: authority.certificate, tokenFile, out, patienceMs: 60_000 },
        {
          transport,
          now: () => new Date(now),
          log: silentLogger(),
          signal: AbortSignal.timeout(20_000),
          pauseMs: { silent: 1, refused: 1 },
        },
      );
      return { how, asked };
    },
  };
}

const GOOD: Answer = { status: 200, body: JSON.stringify({ host: 'node-1', token: 'id.secret.authority' }) };

test('a new node asks until it is let in, with the token of its pod', async (t) => {
  const { run, out } = await bed(t);
  const refused: Answer = { status: 409, body: JSON.stringify({ reason: 'Host node-1 was revoked.' }) };
  const { how, asked } = await run(['silent', refused, 'silent', { status: 503, body: 'no JSON' }, 'silent', GOOD]);
  assert.deepEqual([how, asked.length, asked[0]], ['asked', 6, 'Bearer account-token']);
  assert.equal(readFileSync(out, 'utf8'), 'id.secret.authority');
});

test('a node that has joined starts its agent without asking anybody', async (t) => {
  const { run, joined, authority, out } = await bed(t);
  await joined(authority, DAY_MS);
  assert.deepEqual(await run(['silent']), { how: 'need not', asked: [] });
  assert.equal(existsSync(out), false);
});

test('it asks where its certificate has expired, or the servers have other authorities', async (t) => {
  const expired = await bed(t);
  await expired.joined(expired.authority, -1000);
  assert.equal((await expired.run([GOOD])).how, 'asked');
  const other = await bed(t);
  await other.joined(await makeAuthority(), DAY_MS);
  assert.equal((await other.run([GOOD])).how, 'asked');
});

test('a node that has state starts its agent after a minute, whoever does not answer', async (t) => {
  const { run, joined, authority } = await bed(t);
  await joined(authority, -1000);
  const { how, asked } = await run(['silent']);
  assert.equal(how, 'in vain');
  assert.equal(asked.length, 3);
});

test('a token that an operator has put on the node is left to the agent, also where there is a certificate, and removed where it is spent', async (t) => {
  const { run, joined, authority, out } = await bed(t);
  await joined(authority, DAY_MS);
  const given = formatJoinToken(createJoinToken('x'.repeat(43)));
  writeFileSync(out, `${given}\n`);
  assert.deepEqual(await run([GOOD]), { how: 'given', asked: [] });
  assert.equal(readFileSync(out, 'utf8').trim(), given);
  const spent = given.replace(/^[0-9a-f]{12}/, '012345678901');
  writeFileSync(out, spent);
  assert.deepEqual(await run([GOOD]), { how: 'need not', asked: [] });
  assert.equal(existsSync(out), false);
});

test('a token in the file lets no node begin that may be refused: another is asked for first, and one that is too old by then is none', async (t) => {
  const given = formatJoinToken(createJoinToken('x'.repeat(43)));
  const refused: Answer = { status: 409, body: JSON.stringify({ reason: 'Host node-1 was revoked.' }) };
  const fresh = await bed(t);
  writeFileSync(fresh.out, given);
  assert.equal((await fresh.run([GOOD])).how, 'asked');
  assert.equal(readFileSync(fresh.out, 'utf8'), 'id.secret.authority');
  writeFileSync(fresh.out, given);
  const { how, asked } = await fresh.run([refused]);
  assert.deepEqual([how, asked.length], ['given', 1]);
  assert.equal(readFileSync(fresh.out, 'utf8'), given);
  const old = await bed(t);
  writeFileSync(old.out, given);
  const then = new Date(Date.now() - 2 * 3_600_000);
  utimesSync(old.out, then, then);
  const late = await old.run([refused, 'silent', refused, GOOD]);
  assert.deepEqual([late.how, late.asked.length], ['asked', 4]);
});
