import { LongList } from '@cable/api';
import type { AnyObject } from '@cable/model';
import { CableError, type Network, TUNNEL_HEADER_BYTES } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { overheadOf } from '../plugins/backends.ts';
import { inOrder } from './in-order.ts';
import { sharingByPorts } from './network-legs.ts';
import {
  carriedMtu,
  claimsOfSegment,
  isPhysical,
  isTunnelled,
  rangeOfNetwork,
  type Segment,
  sameSegment,
  segmentOf,
} from './network-segment.ts';
import { isForeign } from './port.ts';
import { checkUnshared, FOREIGN } from './sharing.ts';
import { IPV6_MIN_MTU, mtuTooSmall } from './subnet-mtu.ts';

/** Networks: MTU, how they are carried, and what sharing rules out. */
export const networkModule: Contribution<AnyObject> = contribute<Network>({
  derive: (planning, given) => {
    const mtu = given.mtu ?? maxMtu(planning, given);
    checkMtu(planning, given, mtu);
    return { mtu, ...segmentOf(planning, given) };
  },
  change: (planning, before, after, given) => {
    if (after.mtu !== before.mtu) {
      checkMtu(planning, after, after.mtu);
      if (after.mtu > before.mtu && isTunnelled(after)) checkCarriers(planning, after);
      const hasIpv6 = planning.plan.by('subnet', 'network_id', after.id).some((one) => one.ip_version === 6);
      // Each subnet revises the network, so one that comes meanwhile is not passed.
      if (after.mtu < IPV6_MIN_MTU && hasIpv6) throw mtuTooSmall(after.id);
    }
    return sameSegment(before, after, given);
  },
  check: (view, network, before) => {
    // What another project makes there rests on the sharing, and leaves a mark; so one of the two comes too late.
    checkUnshared(view, SHARING, network, before);
  },
  claims: claimsOfSegment,
  references: rangeOfNetwork,
  inUse: (network, holder, ids) =>
    holder !== 'port'
      ? undefined
      : new CableError(
          'InUse',
          `Unable to complete operation on network ${network.id}. There are one or more ports still in use on the network, id for these ports is: ${ids.join(',')}.`,
          { label: 'Network' },
        ),
  present: (tables, network) => ({
    subnets: new LongList(inOrder(tables.of('subnet').by('network_id', network.id)), ({ id }) => id),
  }),
});

/** What Geneve has besides what VXLAN has, with one option of 4 bytes, as OVN's. Of a plug-in that does not say what its tunnels take this is believed. */
const OPTIONS_BYTES = 8;

/** What a physical network carries has no tunnel header; how long one of a plug-in is, that says. */
function maxMtu({ deps, plan }: Planning, network: Segment & Pick<Partial<Network>, 'cable:backend'>): number {
  const { underlayMtuBytes, overlayIpVersion = 4 } = deps.settings;
  if (isPhysical(network)) return underlayMtuBytes;
  const owner = network['cable:backend'] ?? null;
  const plugin = owner === null ? undefined : plan.get('plugin', owner);
  const header = plugin === undefined ? undefined : overheadOf(plugin, overlayIpVersion);
  const longest = plugin === undefined || network['provider:network_type'] === 'vxlan' ? 0 : OPTIONS_BYTES;
  return underlayMtuBytes - (header ?? TUNNEL_HEADER_BYTES[overlayIpVersion] + longest);
}

function checkMtu(planning: Planning, network: Segment, mtu: number): void {
  const max = maxMtu(planning, network);
  if (mtu > max) {
    throw new CableError('InvalidInput', `Invalid input for operation: Requested MTU is too big, maximum is ${max}.`);
  }
}

/** The hosts that have ports of the network must be able to send its packets to each other. What they have not told is not held against them. */
function checkCarriers({ deps, plan }: Planning, { id, mtu }: Network): void {
  const names = new Set(plan.by('port', 'network_id', id).map((port) => port['binding:host_id'] ?? ''));
  for (const name of names) {
    const host = deps.tables.of('host').get(name);
    const max = host === undefined ? null : carriedMtu(host);
    if (max === null || mtu <= max) continue;
    throw new CableError(
      'InvalidInput',
      `Invalid input for operation: Requested MTU is too big, maximum is ${max}: host ${name}, which has ports of the network, carries no larger packets.`,
    );
  }
}

const SHARING = sharingByPorts(FOREIGN, isForeign);
