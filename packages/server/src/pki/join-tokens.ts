/** Tokens by which hosts join: made, looked at, and spent. */

import { type AnyObject, CableError, type JoinToken } from '@cable/model';
import { createJoinToken, formatJoinToken, hasHash, hashSecret } from '@cable/pki';
import { guard, transact } from '../engine/commit.ts';
import type { ActionHandler, EngineDeps } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { permitRead } from '../engine/permission.ts';
import type { Plan } from '../engine/plan.ts';
import { parseHostName } from '../hosts/parse.ts';
import { timeText } from './host-certificates.ts';
import type { Joining } from './joining.ts';

const TTL_SECONDS = 3600;

/** Tokens that are there at a time. */
const MOST_TOKENS = 10_000;

/** Expired ones that go with each that is made. */
const SWEPT = 100;

/** What a server needs to let hosts join. Throws `HostsJoinElsewhere` where it has none. */
export function joiningOf({ joining }: { readonly joining?: Joining }): Joining {
  if (joining !== undefined) return joining;
  throw new CableError('HostsJoinElsewhere', 'This server has no authority of hosts, so none can join by it.');
}

const issue: ActionHandler = async (deps, _id, body, asked) => {
  const { credentials } = asked;
  permitRead(deps, { credentials, row: () => undefined }, { type: 'join_token', action: 'issue', before: { id: '' } });
  const { serverAuthority } = joiningOf(deps);
  const { host, replace, unlessRevoked, uses, ttl } = parse(body);
  const text = createJoinToken(serverAuthority);
  const now = deps.now();
  const token: JoinToken = {
    id: text.id,
    host,
    replace,
    uses_left: uses,
    created_at: timeText(now),
    expires_at: timeText(new Date(now.getTime() + ttl * 1000)),
    hash: hashSecret(text.secret),
  };
  const { hash: _hash, created_at: _at, ...shown } = token;
  await transact(deps, asked, ({ plan }) => {
    // Who revokes it later takes the token away with it.
    if (unlessRevoked && host !== null && plan.rely('host_certificate', host)?.revoked === true) throw wasRevoked(host);
    const all = [...deps.tables.of('join_token').values()];
    // Who asks for a host again and again, as its pod may, has one token for it.
    const isReplaced = (one: JoinToken): boolean => unlessRevoked && one.host === host;
    const isExpired = (one: JoinToken): boolean => Date.parse(one.expires_at) <= now.getTime();
    const gone = [...all.filter(isReplaced), ...all.filter((one) => !isReplaced(one) && isExpired(one))].slice(
      0,
      SWEPT,
    );
    for (const { id } of gone) plan.delete('join_token', id);
    if (all.length - gone.length >= MOST_TOKENS) {
      throw new CableError('HTTPConflict', `There are ${MOST_TOKENS} join tokens.`, { detail: 'Delete some first.' });
    }
    plan.create('join_token', token as unknown as AnyObject);
  });
  return { ...shown, token: formatJoinToken(text) };
};

function parse(body: Readonly<Record<string, unknown>>): {
  readonly host: string | null;
  readonly replace: boolean;
  readonly unlessRevoked: boolean;
  readonly uses: number;
  readonly ttl: number;
} {
  const {
    host = null,
    replace = false,
    unless_revoked: unlessRevoked = false,
    uses = 1,
    ttl = TTL_SECONDS,
  } = body as {
    readonly host?: string | null;
    readonly replace?: boolean;
    readonly unless_revoked?: boolean;
    readonly uses?: number;
    readonly ttl?: number;
  };
  if (replace && host === null) {
    throw new CableError('InvalidInput', 'Invalid input for replace. Reason: name the host that is to give way.');
  }
  if (unlessRevoked && host === null) {
    throw new CableError('InvalidInput', 'Invalid input for unless_revoked. Reason: name the host.');
  }
  if (host !== null && uses !== 1) {
    throw new CableError('InvalidInput', 'Invalid input for uses. Reason: one host joins once.');
  }
  return { host: host === null ? null : parseHostName(host), replace, unlessRevoked, uses, ttl };
}

/** Ports may be bound to that name: who has taken its trust away says so himself when it is to come back. */
function wasRevoked(host: string): CableError {
  return new CableError(
    'HostWasRevoked',
    `Host ${host} was revoked or deleted, and nobody has said that it may join.`,
    {
      detail: `Make a token with cable join-token create --host ${host} --replace true, or give this machine another name with --host.`,
      fields: { host },
    },
  );
}

/** Tokens: the type. */
export const joinTokenModule: Contribution<AnyObject> = contribute<AnyObject>({ actions: { issue } });

/** What somebody shows who wants to join as a host. */
export type ShownToken = { readonly id: string; readonly secret: string; readonly host: string };

/** What somebody wants to join with. */
export type JoinAttempt = ShownToken & {
  /** Fingerprint of its key. */
  readonly key: string;
};

/**
 * Whether somebody may try to join, by the tables, and when they refuse it by what the store has: it may have been made at another server. Nothing is written, and whether it is used up is not looked at. Throws
 * `JoinTokenInvalid`, `JoinTokenExpired`, `JoinTokenOfOtherHost`, and `ServiceUnavailable` when the store does not say.
 */
export async function lookAtToken({ tables, catchUp, now }: LookDeps, shown: ShownToken): Promise<void> {
  const look = (): JoinToken => tokenOf(tables.of('join_token').get(shown.id), shown, now());
  try {
    look();
  } catch (err) {
    if (!(await guard(() => catchUp.run()))) throw err;
    look();
  }
}

type LookDeps = Pick<EngineDeps, 'tables' | 'catchUp' | 'now'>;

/** A hash of no secret: who names a token that is not there waits as long as who names one. */
const NO_HASH = hashSecret('');

/** The token, if it is good for that host. Throws `JoinTokenInvalid`, `JoinTokenExpired` and `JoinTokenOfOtherHost`. */
function tokenOf(token: JoinToken | undefined, { secret, host }: ShownToken, now: Date): JoinToken {
  // Who does not know the secret learns nothing of the token.
  if (!hasHash(secret, token?.hash ?? NO_HASH) || token === undefined) {
    throw new CableError('JoinTokenInvalid', 'There is no such join token.');
  }
  if (Date.parse(token.expires_at) <= now.getTime()) {
    throw new CableError('JoinTokenExpired', `The join token has expired at ${token.expires_at}.`);
  }
  if (token.host !== null && token.host !== host) {
    throw new CableError('JoinTokenOfOtherHost', `The join token is of host ${token.host}, not of ${host}.`);
  }
  return token;
}

/**
 * Spends a token for a host, in the transaction that makes it one. The same host with the same key may repeat itself: its answer may have been lost. Throws `JoinTokenInvalid`,
 * `JoinTokenExpired`, `JoinTokenUsed`, `JoinTokenOfOtherHost`, `HostWasRevoked` and `HostHasJoined`.
 */
export function planSpend(plan: Plan, attempt: JoinAttempt, now: Date): void {
  const { id, host, key } = attempt;
  const token = tokenOf(plan.rely('join_token', id), attempt, now);
  const before = plan.rely('host_certificate', host);
  if (before !== undefined && !before.revoked && before.token === id && before.key === key) return;
  if (token.uses_left < 1) throw new CableError('JoinTokenUsed', 'The join token is used up.');
  if (before?.revoked && token.host === null) throw wasRevoked(host);
  const holds = before?.expires_at && !before.revoked && Date.parse(before.expires_at) > now.getTime();
  if (!token.replace && (holds || plan.rely('host', host) !== undefined)) {
    throw new CableError('HostHasJoined', `There is a host ${host} already.`, { fields: { host } });
  }
  plan.replace('join_token', { ...token, uses_left: token.uses_left - 1 } as unknown as AnyObject);
}
