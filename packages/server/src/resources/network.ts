import { LongList } from '@cable/api';
import type { AnyObject } from '@cable/model';
import { CableError, type Network, TUNNEL_HEADER_BYTES } from '@cable/model';
import type { Planning } from '../engine/context.ts';
import { type Claim, type ClaimName, type Contribution, contribute } from '../engine/module.ts';
import { inOrder } from './in-order.ts';
import { FOREIGN, isForeign } from './port.ts';
import { IPV6_MIN_MTU, mtuTooSmall } from './subnet-mtu.ts';

const VNI_MAX = 16777215;

/** Networks: MTU, VXLAN network identifier, and what sharing rules out. */
export const networkModule: Contribution<AnyObject> = contribute<Network>({
  derive: (planning, given) => {
    const mtu = given.mtu ?? maxMtu(planning);
    checkMtu(planning, mtu);
    return { mtu, 'provider:segmentation_id': given['provider:segmentation_id'] ?? allocateVni(planning) };
  },
  change: (planning, before, after) => {
    if (after.mtu !== before.mtu) {
      checkMtu(planning, after.mtu);
      if (after.mtu > before.mtu) checkCarriers(planning, after);
      const hasIpv6 = planning.plan.by('subnet', 'network_id', after.id).some((one) => one.ip_version === 6);
      // Each subnet revises the network, so one that comes meanwhile is not passed.
      if (after.mtu < IPV6_MIN_MTU && hasIpv6) throw mtuTooSmall(after.id);
    }
    return {};
  },
  check: (view, network, before) => {
    if (before?.shared !== true || network.shared) return;
    // What another project makes there rests on the sharing, and leaves a mark; so one of the two comes too late.
    const isUnused = view.unmarked(FOREIGN, network.id, (look) =>
      look.by('port', 'network_id', network.id).some((port) => isForeign(port, network)),
    );
    if (!isUnused) throw usedByOthers(network);
  },
  claims: (network) => [vniClaim(network['provider:segmentation_id'])],
  inUse: (network, holder) =>
    holder !== 'port'
      ? undefined
      : new CableError(
          'InUse',
          `Unable to complete operation on network ${network.id}. There are one or more ports still in use on the network.`,
          { label: 'Network' },
        ),
  present: (tables, network) => ({
    subnets: new LongList(inOrder(tables.of('subnet').by('network_id', network.id)), ({ id }) => id),
  }),
});

function maxMtu({ deps }: Planning): number {
  return deps.settings.underlayMtuBytes - TUNNEL_HEADER_BYTES;
}

function checkMtu(planning: Planning, mtu: number): void {
  const max = maxMtu(planning);
  if (mtu > max) {
    throw new CableError('InvalidInput', `Invalid input for operation: Requested MTU is too big, maximum is ${max}.`);
  }
}

/** The hosts that have ports of the network must be able to send its packets to each other. What they have not told is not held against them. */
function checkCarriers({ deps, plan }: Planning, { id, mtu }: Network): void {
  const names = new Set(plan.by('port', 'network_id', id).map((port) => port['binding:host_id'] ?? ''));
  for (const name of names) {
    const underlayMtu = deps.tables.of('host').get(name)?.underlay_mtu ?? null;
    if (underlayMtu === null || mtu <= underlayMtu - TUNNEL_HEADER_BYTES) continue;
    const max = underlayMtu - TUNNEL_HEADER_BYTES;
    throw new CableError(
      'InvalidInput',
      `Invalid input for operation: Requested MTU is too big, maximum is ${max}: host ${name}, which has ports of the network, carries no larger packets.`,
    );
  }
}

function vniName(vni: number): ClaimName {
  return { kind: 'vni', value: String(vni) };
}

function vniClaim(vni: number): Claim {
  return {
    ...vniName(vni),
    holder: (look) => look.by('network', 'provider:segmentation_id', String(vni))[0]?.id,
    taken: () =>
      new CableError('TunnelIdInUse', `Unable to create the network. The tunnel ID ${vni} is in use.`, {
        fields: { vni },
      }),
  };
}

/** Chosen at random: with so many there is hardly ever a second try, and servers do not choose the same. */
function allocateVni({ deps, plan }: Planning): number {
  for (let tries = 0; tries < 1000; tries += 1) {
    const vni = 1 + Math.floor(deps.random() * VNI_MAX);
    const isTaken = plan.by('network', 'provider:segmentation_id', String(vni)).length > 0;
    if (isTaken || plan.isReserved(vniName(vni))) continue;
    plan.reserve(vniName(vni));
    return vni;
  }
  throw new CableError(
    'NoNetworkAvailable',
    'Unable to create the network. No tenant network is available for allocation.',
  );
}

function usedByOthers(network: Network): CableError {
  return new CableError(
    'InvalidSharedSetting',
    `Unable to reconfigure sharing settings for network ${network.id}. Multiple tenants are using it.`,
  );
}
