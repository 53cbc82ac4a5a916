/** What an agent writes for mirrors. */
import {
  CB_DIR_EGRESS,
  CB_DIR_INGRESS,
  CB_MIRROR_ERSPAN,
  CB_MIRROR_GRE,
  CB_MIRROR_HOST,
  CB_MIRROR_TERMS,
  CB_MIRROR_VIF,
  CB_PEER_F_MIRROR,
  CB_TERM_F_PORT,
  CB_TERM_F_PROTOCOL,
  CB_VIF_F_MIRROR_IN,
  CB_VIF_F_MIRROR_OUT,
  type CbMirrored,
  type CbMirrorTerm,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { addr, DEFAULT_FLAGS, type Guest, type GuestOptions, type World } from './world.ts';

export type Direction = 'in' | 'out';

/** Traffic of one kind; left out: any. `other`: a prefix that the other end is in. */
export type Term = { readonly other?: string; readonly protocol?: number; readonly ports?: readonly [number, number] };

/** Where copies go. `session`: of ERSPAN, `key`: of GRE. */
export type Target =
  | { readonly guest: Guest }
  | { readonly host: string; readonly vni: number }
  | { readonly gre: string; readonly key: number }
  | { readonly erspan: string; readonly session: number };

/** `number`: of the mirror. `limit`: of bytes; left out: none. */
export type Mirror = {
  readonly number: number;
  readonly to: Target;
  readonly terms?: readonly Term[];
  readonly limit?: { readonly costNs: number; readonly burst: number };
};

const NOBODY = new Uint8Array(16);
const ANY: CbMirrorTerm = { addr: NOBODY, mask: NOBODY, firstPort: 0, lastPort: 0, protocol: 0, flags: 0 };

/** Flags of a guest's row with which both its directions are looked at. */
export const MIRRORED: number = CB_VIF_F_MIRROR_IN | CB_VIF_F_MIRROR_OUT;

/** A guest both of whose directions may be mirrored. */
export function addMirrored(world: World, name: string, options: GuestOptions): Guest {
  return world.addGuest(name, { ...options, flags: (options.flags ?? DEFAULT_FLAGS) | MIRRORED });
}

/** These are the mirrors of one direction of the guest, in places from 0 on. Nothing is counted of them yet. */
export function setMirrors(world: World, guest: Guest, direction: Direction, mirrors: readonly Mirror[]): void {
  for (let place = 0; place < 4; place++) {
    const mirror = mirrors[place];
    const key = { vif: guest.vif, direction: direction === 'in' ? CB_DIR_INGRESS : CB_DIR_EGRESS, place };
    if (mirror === undefined) {
      world.map(MAPS.cb_mirror_1).delete(MAPS.cb_mirror_1.key.encode(key));
      continue;
    }
    world.write(MAPS.cb_mirrored_1, { number: mirror.number }, NOTHING);
    world.write(MAPS.cb_mirror_1, key, {
      number: mirror.number,
      ...targetOf(world, mirror.to),
      ...limitOf(mirror),
      ...termsOf(mirror),
    });
  }
}

/** What it has copied. */
export function mirroredBy(world: World, number: number): CbMirrored {
  const value = world.map(MAPS.cb_mirrored_1).lookup(MAPS.cb_mirrored_1.key.encode({ number }));
  return value === undefined ? NOTHING : MAPS.cb_mirrored_1.value.decode(value);
}

/** Copies that the host makes with this VNI are for the guest. */
export function addMirrorPeer(world: World, host: string, vni: number, guest: Guest): void {
  const value = { net: 0, tunnel: world.tunnel(host), flags: CB_PEER_F_MIRROR, vif: guest.vif };
  world.write(MAPS.cb_peer_2, { wireId: vni, remote: addr(host) }, value);
}

/** The mark of a copy in cablem0. */
export function markOf(guest: Guest, direction: Direction, { number }: Mirror, place = 0): number {
  return (
    (guest.vif * 2 +
      (direction === 'in' ? CB_DIR_INGRESS : CB_DIR_EGRESS) +
      (place << 14) +
      ((number & 0x7fff) << 17)) >>>
    0
  );
}

const NOTHING: CbMirrored = {
  ...{ byteNs: 0n, packets: 0n, bytes: 0n, over: 0n, lost: 0n, cut: 0n },
  sequence: [0n, 0n],
};

function targetOf(world: World, to: Target): { kind: number; id: number; wireId: number; remote: Uint8Array } {
  if ('guest' in to) return { kind: CB_MIRROR_VIF, id: to.guest.vif, wireId: 0, remote: NOBODY };
  if ('host' in to) return { kind: CB_MIRROR_HOST, id: world.tunnel(to.host), wireId: to.vni, remote: NOBODY };
  if ('gre' in to) return { kind: CB_MIRROR_GRE, id: 0, wireId: to.key, remote: addr(to.gre) };
  return { kind: CB_MIRROR_ERSPAN, id: 0, wireId: to.session, remote: addr(to.erspan) };
}

function limitOf({ limit }: Mirror): { byteCost: bigint; byteBurstNs: bigint } {
  const { costNs, burst } = limit ?? { costNs: 0, burst: 0 };
  return { byteCost: BigInt(costNs) << 20n, byteBurstNs: BigInt(costNs * burst) };
}

function termsOf({ terms = [] }: Mirror): { terms: number; term: readonly CbMirrorTerm[] } {
  return {
    terms: terms.length,
    term: Array.from({ length: CB_MIRROR_TERMS }, (_, i) => (terms[i] === undefined ? ANY : termOf(terms[i]))),
  };
}

function termOf({ other, protocol, ports }: Term): CbMirrorTerm {
  const [base, length] = other?.split('/') ?? [];
  const bits = base === undefined ? 0 : base.includes(':') ? Number(length) : 96 + Number(length);
  return {
    addr: base === undefined ? NOBODY : addr(base),
    mask: maskOf(bits),
    firstPort: ports?.[0] ?? 0,
    lastPort: ports?.[1] ?? 0,
    protocol: protocol ?? 0,
    flags: (protocol === undefined ? 0 : CB_TERM_F_PROTOCOL) | (ports === undefined ? 0 : CB_TERM_F_PORT),
  };
}

function maskOf(bits: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => (0xff << (8 - Math.min(8, Math.max(0, bits - i * 8)))) & 0xff);
}
