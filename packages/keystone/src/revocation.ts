/** Keystone's revocation events: `GET /v3/OS-REVOKE/events`. */
import type { TokenInfo } from './token-info.ts';

/** One event, as Keystone tells it: the tokens that it is about have all that it names, and were issued before. */
export type RevocationEvent = Readonly<Record<string, unknown>>;

/**
 * True: the event may be about the token. What an event names besides what is known of tokens here makes it about more of them, not less: who is said to be
 * revoked is asked for again.
 */
export function revokes(event: RevocationEvent, token: TokenInfo): boolean {
  const issuedBefore = Date.parse(String(event['issued_before']));
  if (Number.isFinite(issuedBefore) && token.issuedAtMs > issuedBefore + SECOND_MS) return false;
  const { user, project, domain, auditIds } = token;
  return (
    fits(event['user_id'], [user.id]) &&
    fits(event['project_id'], [project?.id]) &&
    fits(event['domain_id'], [user.domainId, project?.domainId, domain?.id]) &&
    fits(event['audit_id'], auditIds) &&
    fits(event['audit_chain_id'], auditIds)
  );
}

/** Times of tokens and of events are cut off to seconds in some versions. */
const SECOND_MS = 1000;

function fits(wanted: unknown, held: readonly (string | null | undefined)[]): boolean {
  return typeof wanted !== 'string' || held.includes(wanted);
}
