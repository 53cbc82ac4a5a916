/** Links by which this host is a node of a Kubernetes cluster: it forwards what comes by them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostLink } from '../desired.ts';
import { writeSysctl } from '../net/sysctl.ts';

/** Which there are, by the name of the machine's end. */
export class NodeLinks {
  #names: readonly string[] = [];

  get names(): readonly string[] {
    return this.#names;
  }

  /** True: there are more of them now. */
  add(links: Iterable<HostLink>): boolean {
    return this.#become([...this.#names, ...forwarding(links)]);
  }

  /** These are all. True: there are fewer of them now. */
  keep(links: Iterable<HostLink>): boolean {
    return this.#become(forwarding(links));
  }

  #become(names: readonly string[]): boolean {
    const next = [...new Set(names)].sort();
    if (String(next) === String(this.#names)) return false;
    this.#names = next;
    return true;
  }
}

function forwarding(links: Iterable<HostLink>): readonly string[] {
  return [...links].flatMap(({ name, forwards }) => (forwards === true ? [name] : []));
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
