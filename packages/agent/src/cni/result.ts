import type { CniError } from './errors.ts';
import { isObject, type JsonObject } from './json.ts';
import type { AnswerWay, PodRoute } from './pod-link.ts';
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
  /** True: without its default routes it is not made. */
  readonly needsDefault: boolean;
  readonly nameservers: readonly string[];
  /** Absent: as the pod's routes say. */
  readonly answers?: AnswerWay;
};

/**
 * The success of ADD in the form of a version: until 0.4.0 an address had its IP version, since 1.1.0 an interface has its MTU. `before`: what plug-ins
 * earlier in the chain made, which stays what it is, and first.
 */
export function formatResult(made: Attachment, version: CniVersion, before: JsonObject = {}): string {
  const old = !isAtLeast(version, '1.0.0');
  const mtu = isAtLeast(version, '1.1.0') ? { mtu: made.mtuBytes } : {};
  const interfaces = listOf(before['interfaces']);
  return JSON.stringify({
    ...before,
    cniVersion: version,
    interfaces: [
      ...interfaces,
      { name: made.hostName, ...mtu },
      { name: made.interfaceName, mac: made.macAddress, ...mtu, sandbox: made.netns },
    ],
    ips: [
      ...listOf(before['ips']),
      ...made.addresses.map(({ address, gateway }) => ({
        ...(old ? { version: address.includes(':') ? '6' : '4' } : {}),
        interface: interfaces.length + 1,
        address,
        ...(gateway === null ? {} : { gateway }),
      })),
    ],
    routes: [
      ...listOf(before['routes']),
      ...made.routes.map(({ destination, gateway }) => ({ dst: destination, gw: gateway })),
    ],
    dns: dnsOf(made, before),
  });
}

/** The same of several interfaces, in their order. */
export function formatResults(made: readonly Attachment[], version: CniVersion, before: JsonObject = {}): string {
  const result = made.reduce<JsonObject>((json, one) => JSON.parse(formatResult(one, version, json)), before);
  return JSON.stringify(result);
}

function dnsOf({ nameservers }: Attachment, before: JsonObject): JsonObject {
  const dns = isObject(before['dns']) ? before['dns'] : {};
  const all = new Set([...listOf(dns['nameservers']), ...nameservers]);
  return all.size === 0 ? dns : { ...dns, nameservers: [...all] };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A failure; `version` is the one asked for when it is known. */
export function formatFailure(err: CniError, version: string): string {
  return JSON.stringify({ cniVersion: version, code: err.code, msg: err.message, details: err.remedy });
}
