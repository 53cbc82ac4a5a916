/** Probes as they are sent, and what is read of answers (docs/design/gateway-fail-over.md). */
import { createHash } from 'node:crypto';
import {
  CB_BEACON_F_SERVES,
  CB_MAX_ANNOUNCED_PREFIXES,
  CB_MAX_STANDS,
  CB_PROBE_ASK,
  CB_PROBE_ETHERTYPE,
  CB_PROBE_VERSION,
  type CbBeacon,
  cbProbe,
} from '../bpf/abi.gen.ts';
import { NO_ADDRESS, parseAddress } from '../plan/address.ts';
import type { Beacon } from './standing.ts';

export type Question = {
  readonly sequence: number;
  readonly token: bigint;
  /** Underlay address of a third host; undefined: none. */
  readonly about: string | undefined;
};

/** RFC 7348: VNI present, VNI 0. */
const VXLAN = Uint8Array.of(0x08, 0, 0, 0, 0, 0, 0, 0);

/** Of nobody: a frame of the wire between two hosts. */
const ETHERNET = Uint8Array.of(
  0x02,
  0,
  0,
  0,
  0,
  1,
  0x02,
  0,
  0,
  0,
  0,
  2,
  CB_PROBE_ETHERTYPE >> 8,
  CB_PROBE_ETHERTYPE & 0xff,
);

const NOTHING: CbBeacon = {
  flags: 0,
  count: 0,
  standsBe: new Array<number>(CB_MAX_STANDS).fill(0),
  about: NO_ADDRESS,
  announces: new Array<number>(CB_MAX_ANNOUNCED_PREFIXES).fill(0),
};

/** The payload of a datagram to another host's VXLAN port. */
export function questionPayload({ sequence, token, about }: Question): Uint8Array {
  const third = about === undefined || isIpv4(about) ? undefined : parseAddress(about);
  const beacon = { ...NOTHING, about: third ?? NO_ADDRESS };
  const probe = { version: CB_PROBE_VERSION, kind: CB_PROBE_ASK, sequence, token, aboutMs: 0, beacon };
  const aboutBe = about === undefined ? 0 : (numberOf(placeName(about)) ?? 0);
  return Buffer.concat([VXLAN, ETHERNET, cbProbe.encode({ ...probe, aboutBe })]);
}

/** `announces`: tags of prefixes, as many as there is room for. */
export function beaconRow({ serves, stands }: Beacon, announces: readonly number[] = []): CbBeacon {
  const tags = announces.slice(0, CB_MAX_ANNOUNCED_PREFIXES);
  const hosts = [...stands].flatMap((host) => numberOf(host) ?? []).slice(0, CB_MAX_STANDS);
  return {
    flags: serves ? CB_BEACON_F_SERVES : 0,
    count: hosts.length,
    standsBe: Object.assign([...NOTHING.standsBe], hosts),
    about: NO_ADDRESS,
    announces: Object.assign([...NOTHING.announces], tags),
  };
}

export function beaconOf({ flags, count, standsBe }: CbBeacon): Beacon {
  return {
    serves: (flags & CB_BEACON_F_SERVES) !== 0,
    stands: new Set(standsBe.slice(0, Math.min(count, CB_MAX_STANDS)).map(textOf)),
  };
}

/** By what probes name a host, in digits: its IPv4 address; for another address the tag, which looks like one (`cable_abi.h`). */
export function placeName(address: string): string {
  const bytes = isIpv4(address) ? undefined : parseAddress(address);
  return bytes === undefined ? address : textOf(createHash('sha256').update(bytes).digest().readUInt32BE());
}

function isIpv4(address: string): boolean {
  return !address.includes(':');
}

/** Undefined: it is no IPv4 address. */
export function numberOf(address: string): number | undefined {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((one) => !Number.isInteger(one) || one < 0 || one > 255)) return undefined;
  return parts.reduce((sum, one) => sum * 256 + one, 0);
}

export function textOf(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}
