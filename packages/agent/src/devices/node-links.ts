/** Links by which this host is a node of a Kubernetes cluster: it forwards what comes by them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostLink, KeptAddresses } from '../desired.ts';
import { writeSysctl } from '../net/sysctl.ts';

/** Which there are, by the name of the machine's end, and who keeps his address there. */
export class NodeLinks {
  #links: ReadonlyMap<string, KeptAddresses> = new Map();

  get names(): readonly string[] {
    return [...this.#links.keys()];
  }

  /** Of all of them. */
  get keeping(): KeptAddresses {
    const all = [...this.#links.values()];
    return {
      prefixes: sorted(all.flatMap(({ prefixes }) => prefixes)),
      nodes: sorted(all.flatMap(({ nodes }) => nodes)),
    };
  }

  /** True: there are more of them now, or others keep their addresses. */
  add(links: Iterable<HostLink>): boolean {
    return this.#become(new Map([...this.#links, ...forwarding(links)]));
  }

  /** These are all. True: there are fewer of them now, or others keep their addresses. */
  keep(links: Iterable<HostLink>): boolean {
    return this.#become(forwarding(links));
  }

  #become(links: ReadonlyMap<string, KeptAddresses>): boolean {
    const next = new Map([...links].sort(([a], [b]) => (a < b ? -1 : 1)));
    const isSame = JSON.stringify([...next]) === JSON.stringify([...this.#links]);
    this.#links = next;
    return !isSame;
  }
}

const NOBODY: KeptAddresses = { prefixes: [], nodes: [] };

function forwarding(links: Iterable<HostLink>): ReadonlyMap<string, KeptAddresses> {
  const own = [...links].filter(({ forwards }) => forwards === true);
  return new Map(own.map(({ name, keeping = NOBODY }) => [name, keeping]));
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}

/** Lets the kernel forward packets of the versions of IP that the link has. It stays so when the link goes: others may forward by now. */
export function letForward({ addresses }: Pick<HostLink, 'addresses'>): void {
  const isIpv6 = (address: string): boolean => address.includes(':');
  if (!addresses.every(isIpv6)) writeSysctl(['net', 'ipv4', 'ip_forward'], 1);
  if (!addresses.some(isIpv6)) return;
  // A router hears no router advertisements, unless it is told to: the host would lose its own way outside.
  const devices = '/proc/sys/net/ipv6/conf';
  for (const device of readdirSync(devices)) {
    const path = ['net', 'ipv6', 'conf', device, 'accept_ra'];
    if (device !== 'all' && readFileSync(join('/proc/sys', ...path), 'utf8').trim() === '1') writeSysctl(path, 2);
  }
  writeSysctl(['net', 'ipv6', 'conf', 'all', 'forwarding'], 1);
}
