import type { CniDeps } from './deps.ts';
import { isPluggedBy } from './link-owner.ts';
import type { HeldLink } from './pod-link.ts';
import type { CniRequest } from './request.ts';

/**
 * Links of this host that the call's container plugged as the call's interface. Of one that an agent of before made, which does not say who plugged it, that is so if the earlier
 * result names it, or it is of one of `portIds`.
 */
export function linksOf(
  request: CniRequest,
  { links }: Pick<CniDeps, 'links'>,
  portIds: readonly string[],
): readonly HeldLink[] {
  const told = new Set((request.conf.prevResult?.interfaces ?? []).map(({ name }) => name));
  return links.held().filter(({ hostName, owner }) => {
    if (owner.plugged !== undefined) return isPluggedBy(owner, request);
    return told.has(hostName) || portIds.includes(owner.portId);
  });
}
