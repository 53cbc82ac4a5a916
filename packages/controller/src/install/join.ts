/**
 * Lets a new node wait until it is let in: the plug-in comes after that, so nobody is put on a node that cannot join. The first token is written where the agent looks; whatever it needs later
 * the agent asks for itself.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ExpectedError, type HttpTransport, type Logger, sleep, TransportError } from '@cable/kit';
import { certificatesIn, joinNeedOf, parseJoinToken, replaceFile } from '@cable/pki';

export type JoinOptions = {
  /** Of the agent: `--state`. */
  readonly stateDir: string;
  /** PEM of the authorities of servers. */
  readonly ca: string;
  /** File with the token of the ServiceAccount, which is renewed. */
  readonly tokenFile: string;
  /** Where the agent looks (`--join-file`), and where an operator may have left a token, which is taken then, unless it is spent. */
  readonly out: string;
  /** So long a host that has state waits for an answer. */
  readonly patienceMs: number;
};

export type JoinDeps = {
  readonly transport: Pick<HttpTransport, 'request'>;
  readonly now: () => Date;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Between two tries. Default 2 s, and 30 s after a refusal. */
  readonly pauseMs?: { readonly silent: number; readonly refused: number };
};

/** How it ended. `given`: an operator has put a token on the node, and no other is to be had, or none is needed. */
export type Joined = 'need not' | 'given' | 'asked' | 'in vain' | 'aborted';

const PAUSE_MS = { silent: 2000, refused: 30_000 };

/** A token lives an hour unless its maker says otherwise: of an older file nothing is expected. */
const GIVEN_MS = 3_600_000;

/**
 * Ends when the agent can be started: with a token for it, without need of one, or, where there is state by which guests can be served, after a while. A host that has nothing waits
 * as long as it takes. Throws `ExpectedError` for files that cannot be read.
 */
export async function getJoinToken(options: JoinOptions, deps: JoinDeps): Promise<Joined> {
  const { log, now, signal } = deps;
  const begun = now().getTime();
  const why = await needFor(options, now());
  // Also where there is a certificate: it may be refused.
  if (why === undefined) return (await isGiven(options, now())) ? 'given' : 'need not';
  log.info({ why }, 'a join token is needed');
  const hasState = (await readdir(options.stateDir).catch(() => [])).length > 0;
  const pause = deps.pauseMs ?? PAUSE_MS;
  while (!signal.aborted) {
    const answer = await ask(options, deps);
    if ('token' in answer) {
      await replaceFile(options.out, answer.token);
      return 'asked';
    }
    // Asked first: what is in the file may be of no use, and then a pod would be put on a node that cannot join.
    if (await isGiven(options, now())) return 'given';
    log.warn({ reason: answer.reason }, 'no join token: asked again');
    if (hasState && now().getTime() - begun >= options.patienceMs) return 'in vain';
    await sleep(answer.isRefused && !hasState ? pause.refused : pause.silent, signal);
  }
  return 'aborted';
}

/** Why the host has to join; undefined: its certificate is good as far as can be seen here. */
async function needFor({ stateDir, ca }: JoinOptions, now: Date): Promise<string | undefined> {
  const [own, trusted] = await Promise.all(['host.pem', 'authorities.pem'].map((name) => joined(stateDir, name)));
  const [certificate] = certificatesIn(own ?? '');
  return joinNeedOf(
    certificate === undefined ? undefined : { certificate, authorities: certificatesIn(trusted ?? '') },
    ca,
    now,
  );
}

function joined(stateDir: string, name: string): Promise<string> {
  return readFile(join(stateDir, 'joined', name), 'utf8').catch(() => '');
}

/** A token is there that may be good still. One by which the host has joined is of no use to anybody, and is taken away. */
async function isGiven({ stateDir, out }: JoinOptions, now: Date): Promise<boolean> {
  const token = parseJoinToken(await readFile(out, 'utf8').catch(() => ''));
  if (token === undefined) return false;
  const own = await joined(stateDir, 'host.pem');
  if (own.startsWith(`Joined by token ${token.id}.`)) {
    await rm(out, { force: true }).catch(() => undefined);
    return false;
  }
  const { mtimeMs } = await stat(out).catch(() => ({ mtimeMs: 0 }));
  return now.getTime() - mtimeMs < GIVEN_MS;
}

type Answer = { readonly token: string } | { readonly reason: string; readonly isRefused: boolean };

async function ask({ tokenFile }: JoinOptions, { transport, signal }: JoinDeps): Promise<Answer> {
  const shown = await readFile(tokenFile, 'utf8').catch((cause: unknown) => {
    throw new ExpectedError(`cannot read ${tokenFile}, the token of the ServiceAccount`, { cause });
  });
  try {
    const headers = { authorization: `Bearer ${shown.trim()}` };
    const { status, body } = await transport.request({ method: 'POST', path: '/join', headers, signal });
    const said = parse(body);
    if (status === 200 && typeof said['token'] === 'string') return { token: said['token'] };
    const reason = typeof said['reason'] === 'string' ? said['reason'] : `answered ${status}`;
    return { reason, isRefused: status >= 400 && status < 500 && status !== 429 };
  } catch (err) {
    if (err instanceof TransportError) return { reason: err.message, isRefused: false };
    throw err;
  }
}

function parse(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {}
  return {};
}
