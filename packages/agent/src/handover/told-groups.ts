import { isGroupAddress, parseIp } from '@cable/model';
import { CB_VIF_GROUPS } from '../bpf/abi.gen.ts';
import type { JoinedGroups } from '../guest/joined-groups.ts';
import type { JsonRecord } from '../json.ts';

/** Tells what a guest has joined, now and whenever it is otherwise, until what is returned is called. `read`: undefined: nothing is known, and nothing is told. */
export function followGroups(
  read: () => JoinedGroups | undefined,
  tell: (joined: JoinedGroups) => void,
  everyMs = 200,
): () => void {
  let told = '';
  const look = (): void => {
    const joined = read();
    const text = joined === undefined ? told : JSON.stringify(joined);
    if (joined === undefined || text === told) return;
    told = text;
    tell(joined);
  };
  look();
  const timer = setInterval(look, everyMs);
  return () => clearInterval(timer);
}

/** What another host tells; undefined: no build tells that. */
export function parseJoinedGroups({ groups, getsAll, isRouter }: JsonRecord): JoinedGroups | undefined {
  if (!Array.isArray(groups) || groups.length > CB_VIF_GROUPS) return undefined;
  if (typeof getsAll !== 'boolean' || typeof isRouter !== 'boolean') return undefined;
  return groups.every(isGroup) ? { groups, getsAll, isRouter } : undefined;
}

function isGroup(value: unknown): value is string {
  const address = typeof value === 'string' ? parseIp(value) : undefined;
  return address !== undefined && isGroupAddress(address);
}
