/** What the store knows of hosts' certificates: of which key the last one is, and from when on they count. */

import { CableError, type HostCertificate } from '@cable/model';
import { CLOCK_SKEW_MS } from '@cable/pki';
import type { Plan } from '../engine/plan.ts';
import { objectKey } from '../keys.ts';
import type { Tables } from '../tables.ts';

/** A certificate as the door has it. `madeAt`: when it was made, in ms since 1970. */
export type ShownCertificate = { readonly host: string; readonly madeAt: number };

/**
 * When a certificate was made, by the time from which it is good: those of ours are good from `CLOCK_SKEW_MS` before they are made. `isOurs` false: of an authority that is somebody else's, which
 * may do otherwise, so nothing is taken off.
 */
export function madeAt(validFrom: Date, isOurs: boolean): number {
  return validFrom.getTime() + (isOurs ? CLOCK_SKEW_MS : 0);
}

/** Throws `CertificateRefused` when the host was revoked, deleted, or has joined anew since. */
export function refuseRevoked(tables: Pick<Tables, 'of'>, { host, madeAt: made }: ShownCertificate): void {
  refuseOlder(tables.of('host_certificate').get(host), { host, madeAt: made });
}

/** The same in a transaction, which fails when that changes. */
export function refuseRevokedNow(plan: Plan, shown: ShownCertificate): void {
  refuseOlder(plan.rely('host_certificate', shown.host), shown);
}

function refuseOlder(row: HostCertificate | undefined, { host, madeAt: made }: ShownCertificate): void {
  if (row === undefined || row.not_before === null || made >= Date.parse(row.not_before)) return;
  const since =
    row.expires_at === null ? 'is gone: its node was removed from Kubernetes' : 'has joined anew since it was made';
  const why = row.revoked ? 'has been revoked' : since;
  throw new CableError('CertificateRefused', `The certificate of host ${host} is refused: the host ${why}.`, {
    detail: `Make a token with cable join-token create --host ${host} --replace true, and start the agent with --join.`,
    fields: { host },
  });
}

/** What a new certificate of a host is of. `token` null: it was renewed. */
export type Issued = {
  readonly host: string;
  readonly key: string;
  readonly token: string | null;
  readonly authority: string;
  readonly lifeMs: number;
};

/**
 * Writes that a certificate is made, and says when: later than what is refused. With a token all that were made before are refused. The row is compared as it is.
 */
export function planIssue(plan: Plan, { host, key, token, authority, lifeMs }: Issued, now: Date): Date {
  const before = plan.rely('host_certificate', host);
  const since = before?.not_before ?? null;
  const earliest = Math.max(since === null ? 0 : Date.parse(since), token === null ? 0 : after(before?.issued_at));
  const at = new Date(Math.max(Math.floor(now.getTime() / 1000) * 1000, earliest));
  const row: HostCertificate = {
    id: host,
    issued_at: timeText(at),
    expires_at: timeText(new Date(at.getTime() + lifeMs)),
    authority,
    revoked: false,
    not_before: token === null ? since : timeText(at),
    key,
    token: token ?? '',
  };
  write(plan, before, row);
  return at;
}

/** Refuses all certificates of a host that have been made. `now`: they count from the next second on. */
export function planRevoke(plan: Plan, host: string, now: Date): void {
  const before = plan.rely('host_certificate', host);
  const next = Math.floor(now.getTime() / 1000) * 1000 + 1000;
  const at = Math.max(next, after(before?.issued_at), before?.not_before ? Date.parse(before.not_before) : 0);
  const row: HostCertificate = {
    ...(before ?? { id: host, issued_at: null, expires_at: null, authority: null, key: '', token: '' }),
    revoked: true,
    not_before: timeText(new Date(at)),
  };
  write(plan, before, row);
  for (const token of plan.by('join_token', 'host', host)) plan.delete('join_token', token.id);
}

/**
 * Refuses the certificates of a host whose node is gone, without a word against its name: who lets nodes in may let another one of that name join. Behind the deletion of the host in a plan;
 * `before`: what was known ahead of it.
 */
export function planRetire(plan: Plan, host: string, before: HostCertificate | undefined): void {
  const row = plan.rely('host_certificate', host);
  if (row !== undefined)
    plan.replace('host_certificate', { ...row, revoked: before?.revoked ?? false, expires_at: null });
}

function write(plan: Plan, before: HostCertificate | undefined, row: HostCertificate): void {
  if (before === undefined) plan.create('host_certificate', row);
  else plan.replace('host_certificate', row);
}

/** The second after. */
function after(time: string | null | undefined): number {
  return time === null || time === undefined ? 0 : Date.parse(time) + 1000;
}

/** Whole seconds, UTC. */
export function timeText(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/** Key of the row, for locks. */
export function certificateKey(host: string): string {
  return objectKey('host_certificate', host);
}
