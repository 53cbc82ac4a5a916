/**
 * Solicited-node groups (RFC 4291 §2.7.1) of the IPv6 addresses that this host announces: questions about an address go to its group, and a network card that filters, or a switch with MLD
 * snooping, lets through what somebody has joined. The host joins by an address of the device that is the group itself (`ip address add ... autojoin`): it is in the kernel, says so by MLD,
 * and stays while no agent runs, as what is answered does. Nobody else has such an address on a device, so an agent without memory knows them by what they are.
 */
import type { Logger } from '@cable/kit';
import { formatIp, parseIp } from '@cable/model';
import { succeeded } from '../ffi/errno.ts';
import { addAddress, deleteAddress, listAddresses } from '../net/address.ts';
import type { NetlinkSocket } from '../net/socket.ts';

/** On a device. */
export type Membership = { readonly ifindex: number; readonly group: string };

export type GroupsKernel = {
  list(): readonly Membership[];
  /** Idempotent. False: not now. */
  join(membership: Membership): boolean;
  leave(membership: Membership): void;
};

/** Who removes one is answered so soon. */
const LOOK_MS = 60_000;

const PREFIX = (parseIp('ff02::1:ff00:0') ?? { value: 0n }).value;
const LOW = 0xff_ffffn;

/** The group of an address; undefined: it is of IPv4. */
export function groupOf(address: string): string | undefined {
  const ip = parseIp(address);
  return ip?.version === 6 ? formatIp({ ...ip, value: PREFIX | (ip.value & LOW) }) : undefined;
}

/** True for such a group. */
export function isSolicitedGroup(address: string): boolean {
  const ip = parseIp(address);
  return ip?.version === 6 && (ip.value & ~LOW) === PREFIX;
}

export class SolicitedGroups {
  readonly #kernel: GroupsKernel;
  readonly #log: Logger;
  readonly #now: () => number;
  #done = '';
  #lookMs = Number.NEGATIVE_INFINITY;

  /** `now` in milliseconds. */
  constructor(kernel: GroupsKernel, { log, now }: { readonly log: Logger; readonly now: () => number }) {
    this.#kernel = kernel;
    this.#log = log;
    this.#now = now;
  }

  /** Joins the groups of these addresses. `isWhole`: others are left. */
  take(here: Iterable<{ readonly ifindex: number; readonly address: string }>, isWhole: boolean): void {
    const wanted = new Map<string, Membership>();
    for (const { ifindex, address } of here) {
      const group = groupOf(address);
      if (group !== undefined) wanted.set(`${ifindex} ${group}`, { ifindex, group });
    }
    const text = `${isWhole} ${[...wanted.keys()].sort().join()}`;
    if (text === this.#done && this.#now() < this.#lookMs) return;
    this.#lookMs = this.#now() + LOOK_MS;
    const there = new Map(this.#kernel.list().map((one) => [`${one.ifindex} ${one.group}`, one]));
    let isDone = true;
    for (const [key, one] of wanted) if (!there.has(key)) isDone = this.#join(one) && isDone;
    if (isWhole) for (const [key, one] of there) if (!wanted.has(key)) this.#kernel.leave(one);
    this.#done = isDone ? text : '';
  }

  #join(one: Membership): boolean {
    if (this.#kernel.join(one)) return true;
    this.#log.debug(one, 'the group of an announced address was not joined: again with the next look');
    return false;
  }
}

/** Removes all of them. False: there were none. */
export function leaveAllGroups(kernel: GroupsKernel): boolean {
  const there = kernel.list();
  for (const one of there) kernel.leave(one);
  return there.length > 0;
}

/** A device that is gone, or has no IPv6. */
const NOT_NOW = ['ENODEV', 'ENETDOWN', 'EACCES', 'EADDRNOTAVAIL', 'EINVAL', 'EOPNOTSUPP', 'ENOBUFS'] as const;

export function kernelGroups(socket: NetlinkSocket): GroupsKernel {
  return {
    list: () =>
      listAddresses(socket).flatMap(({ ifindex, cidr }) => {
        const [group = '', length] = cidr.split('/');
        return length === '128' && isSolicitedGroup(group) ? [{ ifindex, group }] : [];
      }),
    join: ({ ifindex, group }) =>
      succeeded(() => addAddress(socket, ifindex, `${group}/128`, { noPrefixRoute: true, joins: true }), NOT_NOW),
    leave: ({ ifindex, group }) => void deleteAddress(socket, ifindex, `${group}/128`),
  };
}
