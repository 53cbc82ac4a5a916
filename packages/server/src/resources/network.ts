import type { AnyObject } from '@cable/model';
import { CableError, type Network } from '@cable/model';
import type { WriteContext } from '../engine/context.ts';
import { defineHooks, type ResourceHooks } from '../engine/module.ts';
import { vniKey } from '../keys.ts';

/** Bytes that the outer Ethernet, IPv4, UDP and VXLAN headers take of the underlay's packet (RFC 7348). */
const TUNNEL_HEADER_BYTES = 50;
const VNI_MAX = 16777215;

/** Networks: MTU, VXLAN network identifier, and what sharing rules out. */
export const networkHooks: ResourceHooks<AnyObject> = defineHooks<Network>({
  create: (context, given) => {
    const mtu = given.mtu ?? maxMtu(context);
    checkMtu(context, mtu);
    const vni = given['provider:segmentation_id'] ?? allocateVni(context);
    claimVni(context, vni, given.id);
    return { mtu, 'provider:segmentation_id': vni };
  },
  update: (context, before, after) => {
    if (after.mtu !== before.mtu) checkMtu(context, after.mtu);
    if (before.shared && !after.shared) refuseForeignPorts(context, after);
    return {};
  },
  delete: ({ plan }, network) => plan.release(vniKey(network['provider:segmentation_id'])),
  inUse: (network) =>
    new CableError(
      'InUse',
      `Unable to complete operation on network ${network.id}. There are one or more ports still in use on the network.`,
      { label: 'Network' },
    ),
  present: (tables, network) => ({
    subnets: tables
      .of('subnet')
      .by('network_id', network.id)
      .map((subnet) => subnet.id)
      .sort(),
  }),
});

function maxMtu({ deps }: WriteContext): number {
  return deps.settings.underlayMtuBytes - TUNNEL_HEADER_BYTES;
}

function checkMtu(context: WriteContext, mtu: number): void {
  const max = maxMtu(context);
  if (mtu > max) {
    throw new CableError('InvalidInput', `Invalid input for operation: Requested MTU is too big, maximum is ${max}.`);
  }
}

function isVniTaken({ tables, plan }: WriteContext, vni: number): boolean {
  return tables.of('network').by('provider:segmentation_id', String(vni)).length > 0 || plan.claims(vniKey(vni));
}

/** Chosen at random: with so many there is hardly ever a second try, and servers do not choose the same. */
function allocateVni(context: WriteContext): number {
  const { deps, plan } = context;
  for (let tries = 0; tries < 1000; tries += 1) {
    const vni = 1 + Math.floor(deps.random() * VNI_MAX);
    if (!isVniTaken(context, vni) && !plan.isReserved(vniKey(vni))) return vni;
  }
  throw new CableError(
    'NoNetworkAvailable',
    'Unable to create the network. No tenant network is available for allocation.',
  );
}

function claimVni(context: WriteContext, vni: number, networkId: string): void {
  if (isVniTaken(context, vni)) {
    throw new CableError('TunnelIdInUse', `Unable to create the network. The tunnel ID ${vni} is in use.`);
  }
  context.plan.reserve(vniKey(vni));
  context.plan.claim(vniKey(vni), networkId);
}

function refuseForeignPorts({ tables }: WriteContext, network: Network): void {
  const foreign = tables
    .of('port')
    .by('network_id', network.id)
    .some((port) => port.project_id !== network.project_id && !port.device_owner.startsWith('network:'));
  if (!foreign) return;
  throw new CableError(
    'InvalidSharedSetting',
    `Unable to reconfigure sharing settings for network ${network.id}. Multiple tenants are using it.`,
  );
}
