import type { CniError } from './errors.ts';
import type { PodRoute } from './pod-link.ts';
import { type CniVersion, isAtLeast } from './versions.ts';

/** What ADD made, free of a version. */
export type Attachment = {
  readonly portId: string;
  readonly hostName: string;
  readonly interfaceName: string;
  readonly netns: string;
  readonly macAddress: string;
  readonly mtuBytes: number;
  /** With prefix length. */
  readonly addresses: readonly { readonly address: string; readonly gateway: string | null }[];
  readonly routes: readonly PodRoute[];
  readonly nameservers: readonly string[];
};

/** The success of ADD in the form of a version: until 0.4.0 an address had its IP version, since 1.1.0 an interface has its MTU. */
export function formatResult(made: Attachment, version: CniVersion): string {
  const old = !isAtLeast(version, '1.0.0');
  const mtu = isAtLeast(version, '1.1.0') ? { mtu: made.mtuBytes } : {};
  return JSON.stringify({
    cniVersion: version,
    interfaces: [
      { name: made.hostName, ...mtu },
      { name: made.interfaceName, mac: made.macAddress, ...mtu, sandbox: made.netns },
    ],
    ips: made.addresses.map(({ address, gateway }) => ({
      ...(old ? { version: address.includes(':') ? '6' : '4' } : {}),
      interface: 1,
      address,
      ...(gateway === null ? {} : { gateway }),
    })),
    routes: made.routes.map(({ destination, gateway }) => ({ dst: destination, gw: gateway })),
    dns: made.nameservers.length === 0 ? {} : { nameservers: made.nameservers },
  });
}

/** A failure; `version` is the one asked for when it is known. */
export function formatFailure(err: CniError, version: string): string {
  return JSON.stringify({ cniVersion: version, code: err.code, msg: err.message, details: err.remedy });
}
