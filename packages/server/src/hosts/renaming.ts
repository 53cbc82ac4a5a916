/**
 * A host that is being renamed is two until it is done: the old one, which has the underlay address, and the new one. Each names the other by a hidden attribute.
 *
 *   old  { underlay: X, _renamed_to: new }     claims X, has the ports that have not been moved yet
 *   new  { underlay: X, _renamed_from: old }   claims nothing
 *
 * Servers that did not mark the old host could rename it to two names at once, or delete the new one: what they left is found and named here, too.
 */
import { type AnyObject, CableError, type Host } from '@cable/model';
import { RENAMED_FROM, RENAMED_TO } from '../engine/hidden.ts';

/** The hosts there are. */
export type Hosts = {
  get(type: 'host', id: string): Host | undefined;
  by(type: 'host', index: 'underlay', address: string): readonly Host[];
};

/**
 * What a host's rename has come to. `under-way`: `old` is being renamed to one of the names; more than one only where old servers were at it. `left-over`: the
 * host was to be the new one, and its old one is gone or is none of it; `holder` has its underlay address, undefined: nobody has.
 */
export type Renaming =
  | { readonly kind: 'none' }
  | { readonly kind: 'under-way'; readonly old: string; readonly names: readonly [string, ...string[]] }
  | { readonly kind: 'left-over'; readonly from: string; readonly holder: string | undefined };

/** The name that the host is to have; undefined: it is not being renamed. */
export function renamedTo(host: Host): string | undefined {
  return textOf(host, RENAMED_TO);
}

/** The name of the host that is being renamed to this one; undefined: none is. */
export function renamedFrom(host: Host): string | undefined {
  return textOf(host, RENAMED_FROM);
}

function textOf(host: Host, attribute: string): string | undefined {
  const value = (host as AnyObject)[attribute];
  return value === undefined ? undefined : String(value);
}

/** The host as it is when it is in no rename, or not any more. */
export function withoutRenaming(host: Host): AnyObject {
  const { [RENAMED_TO]: _to, [RENAMED_FROM]: _from, ...rest } = host as AnyObject;
  return rest as AnyObject;
}

/** True: the two are what a rename has made of one. */
export function isPair(old: Host, host: Host): boolean {
  return renamedFrom(old) === undefined && renamedTo(old) === host.id && isMeantBy(old, host);
}

/** True: the host was made by a rename of the old one. A host that got the old name later has another address. */
function isMeantBy(old: Host, host: Host): boolean {
  return renamedFrom(host) === old.id && old.underlay === host.underlay;
}

/** What the host's rename has come to. */
export function renamingOf(hosts: Hosts, host: Host): Renaming {
  const to = renamedTo(host);
  if (to !== undefined) return { kind: 'under-way', old: host.id, names: [to] };
  const from = renamedFrom(host);
  if (from !== undefined) {
    const old = hosts.get('host', from);
    if (old !== undefined && isExplainedBy(old, host)) return { kind: 'under-way', old: from, names: [host.id] };
    const holder = hosts.by('host', 'underlay', host.underlay).find((one) => renamedFrom(one) === undefined);
    return { kind: 'left-over', from, holder: holder?.id };
  }
  const made = hosts.by('host', 'underlay', host.underlay).filter((one) => isMeantBy(host, one));
  const [first, ...more] = made.map(({ id }) => id).sort();
  return first === undefined ? { kind: 'none' } : { kind: 'under-way', old: host.id, names: [first, ...more] };
}

/** True: the host's `_renamed_from` is that of a rename that can be repeated. An old host without a mark is of a server that made none. */
export function isExplainedBy(old: Host, host: Host): boolean {
  const to = renamedTo(old);
  return isMeantBy(old, host) && (to === undefined || to === host.id);
}

/** Nothing else is done to the two hosts of a rename. */
export function beingRenamed(old: string, name: string): CableError {
  const message = `Host ${old} is being renamed to ${name}: repeat that rename until it is done (cable host rename ${old} --name ${name}).`;
  return new CableError('HostBeingRenamed', message, { fields: { host: old, name } });
}

/** What is to be done about a host that a rename has left over. */
export function leftOver(
  host: string,
  { from, holder }: Extract<Renaming, { readonly kind: 'left-over' }>,
): CableError {
  const remedy =
    holder === undefined
      ? `start the agent with --host ${host}, give it another name, or delete it`
      : `rename it to ${holder}, which has its underlay address (cable host rename ${host} --name ${holder})`;
  const message = `Host ${host} is left over from a rename of host ${from} that was not finished: ${remedy}.`;
  return new CableError('HostBeingRenamed', message, { fields: { host, ...(holder === undefined ? {} : { holder }) } });
}

/** Throws unless the host is in no rename. */
export function refuseRenaming(hosts: Hosts, host: Host): void {
  const renaming = renamingOf(hosts, host);
  if (renaming.kind === 'under-way') throw beingRenamed(renaming.old, renaming.names[0]);
  if (renaming.kind === 'left-over') throw leftOver(host.id, renaming);
}
