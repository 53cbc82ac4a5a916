import type { HostPlace, LocalPort, MirrorTarget, MirrorTerm, PortMirror } from '@cable/model';
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
  CB_VIF_MIRRORS,
  type CbMirrorTerm,
} from '../bpf/abi.gen.ts';
import { NO_ADDRESS, parseAddress, parsePrefix } from './address.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { byteCostOf } from './meters.ts';
import { tunnelTo } from './standby.ts';
import type { StatedFact } from './topics.ts';
import type { PlanReader } from './unit.ts';

/** What a port's mirrors, and the copies that come to it, make. `flags`: CB_VIF_F_* of its row. */
export type VifMirrors = {
  readonly entries: readonly Planned[];
  readonly facts: readonly StatedFact[];
  readonly flags: number;
};

/** So much may be copied at once after a pause, as time at the rate: some GSO packets. */
const BURST_NS = 10_000_000n;

const DIRECTIONS = [
  { leg: 'in', direction: CB_DIR_INGRESS, flag: CB_VIF_F_MIRROR_IN },
  { leg: 'out', direction: CB_DIR_EGRESS, flag: CB_VIF_F_MIRROR_OUT },
] as const;

/** A mirror with its number on this host, and where its copies go. */
type Resolved = { readonly mirror: PortMirror; readonly number: number; readonly way: Way };
type Way = { readonly kind: number; readonly id: number; readonly wireId: number; readonly remote: Uint8Array };

export function vifMirrors(port: LocalPort, vif: number, reader: PlanReader): VifMirrors {
  const facts: StatedFact[] = [];
  const resolved = (port.mirrors ?? []).flatMap((mirror) => resolve(mirror, reader, facts));
  const entries: Planned[] = resolved.map(({ number }) => encodeEntry('cb_mirrored_1', { number }, NOTHING));
  let flags = 0;
  for (const { leg, direction, flag } of DIRECTIONS) {
    const there = resolved
      .filter(({ mirror }) => mirror[leg] !== undefined)
      .sort((a, b) => (a.mirror[leg]?.place ?? 0) - (b.mirror[leg]?.place ?? 0))
      .slice(0, CB_VIF_MIRRORS);
    for (const [place, one] of there.entries())
      entries.push(mirrorEntry(one, { vif, direction, place }, one.mirror[leg]?.tunnel ?? 0));
    if (there.length > 0) flags |= flag;
  }
  for (const { vni, sources } of port.taps ?? []) {
    for (const source of sources) entries.push(...sourceEntry(vni, vif, source, reader, facts));
  }
  return { entries, facts, flags };
}

/** None where it is not known yet how to get there. */
function resolve(mirror: PortMirror, reader: PlanReader, facts: StatedFact[]): readonly Resolved[] {
  const number = reader.number('mirror', mirror.id);
  const way = wayTo(mirror.target, reader, facts);
  return number === undefined || way === undefined ? [] : [{ mirror, number, way }];
}

function wayTo(target: MirrorTarget, reader: PlanReader, facts: StatedFact[]): Way | undefined {
  if (target.kind === 'gre' || target.kind === 'erspan') {
    const remote = parseAddress(target.remoteIp);
    const kind = target.kind === 'gre' ? CB_MIRROR_GRE : CB_MIRROR_ERSPAN;
    return remote === undefined ? undefined : { kind, id: 0, wireId: 0, remote };
  }
  if (target.kind !== 'port') return undefined;
  if (target.host === reader.host) {
    const vif = reader.facts('vif', target.portId).get('')?.value;
    return vif === undefined ? undefined : { kind: CB_MIRROR_VIF, id: vif, wireId: 0, remote: NO_ADDRESS };
  }
  const other = tunnelTo(target.underlay, reader);
  if (other === undefined) return undefined;
  facts.push(...other.facts);
  return { kind: CB_MIRROR_HOST, id: other.tunnel, wireId: target.vni, remote: NO_ADDRESS };
}

function mirrorEntry(
  { mirror, number, way }: Resolved,
  key: { readonly vif: number; readonly direction: number; readonly place: number },
  tunnel: number,
): Planned {
  const filter = mirror.filter.slice(0, CB_MIRROR_TERMS);
  return encodeEntry('cb_mirror_1', key, {
    number,
    ...way,
    wireId: way.wireId || tunnel,
    terms: filter.length,
    byteCost: byteCostOf(mirror.maxKbps),
    byteBurstNs: BURST_NS,
    term: Array.from({ length: CB_MIRROR_TERMS }, (_, n) => termOf(filter[n])),
  });
}

/** One that cannot be understood is one that nothing is of. */
function termOf(term: MirrorTerm | undefined): CbMirrorTerm {
  if (term === undefined) return ANY;
  const { protocol, remote, portMin, portMax } = term;
  const prefix = remote === undefined ? undefined : parsePrefix(remote);
  if (remote !== undefined && prefix === undefined) return { ...ANY, flags: CB_TERM_F_PORT, firstPort: 1, lastPort: 0 };
  return {
    addr: prefix?.bytes ?? NO_ADDRESS,
    mask: maskOf(prefix?.length ?? 0),
    protocol: protocol ?? 0,
    firstPort: portMin ?? 0,
    lastPort: portMax ?? portMin ?? 0,
    flags: (protocol === undefined ? 0 : CB_TERM_F_PROTOCOL) | (portMin === undefined ? 0 : CB_TERM_F_PORT),
  };
}

function maskOf(bits: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, n) => (0xff00 >> Math.min(8, Math.max(0, bits - n * 8))) & 0xff);
}

/** Copies of another host come in with the VNI, for the VIF and for no network. */
function sourceEntry(
  vni: number,
  vif: number,
  { host, underlay }: HostPlace,
  reader: PlanReader,
  facts: StatedFact[],
): readonly Planned[] {
  if (host === reader.host) return [];
  const other = tunnelTo(underlay, reader);
  const remote = underlay === null ? undefined : parseAddress(underlay);
  if (other === undefined || remote === undefined) return [];
  facts.push(...other.facts);
  const value = { net: 0, tunnel: other.tunnel, flags: CB_PEER_F_MIRROR, vif };
  return [encodeEntry('cb_peer_2', { wireId: vni, remote }, value)];
}

const ANY: CbMirrorTerm = { addr: NO_ADDRESS, mask: NO_ADDRESS, firstPort: 0, lastPort: 0, protocol: 0, flags: 0 };

const NOTHING = {
  ...{ byteNs: 0n, packets: 0n, bytes: 0n, over: 0n, lost: 0n, cut: 0n },
  sequence: [0n, 0n],
};
