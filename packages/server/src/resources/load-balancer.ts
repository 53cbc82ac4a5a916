/** Load balancers: their virtual address, and what goes with them. */
import { type AnyObject, CableError, type LoadBalancer } from '@cable/model';
import type { ActionHandler } from '../engine/context.ts';
import { type Broken, type Claim, type Contribution, contribute } from '../engine/module.ts';
import { currentRow } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import type { Look } from '../engine/view.ts';
import { balancerStatus, statusTree } from './balancer-status.ts';
import { brokenUnlessTaken } from './lb-parts.ts';
import { type Fixed, refuseUnsupported } from './lb-unsupported.ts';
import { isVipOf, releaseVip, takeVip } from './vip-port.ts';

const FIXED: Readonly<Record<string, Fixed>> = {
  provider: { value: 'cable', remedy: 'Give cable, or leave it out: there is no other.' },
  vip_qos_policy_id: { value: null, remedy: 'Give the policy to the members’ ports.' },
  flavor_id: { value: null, remedy: 'Leave it out: there are no flavors.' },
  availability_zone: { value: null, remedy: 'Leave it out: each host balances by itself.' },
  additional_vips: { value: [], remedy: 'Make another load balancer for another address.' },
};

/** What balances, as Octavia lists it. */
export const lbProviderModule: Contribution<AnyObject> = {
  rows: () => [{ id: 'cable', name: 'cable', description: 'Layer 4, in the data plane of each host.' }],
};

/** Load balancers: a port for each, whose address is theirs alone. */
export const loadBalancerModule: Contribution<AnyObject> = contribute<LoadBalancer>({
  derive: (planning, given) => {
    refuseUnsupported(given, FIXED);
    return takeVip(planning, given);
  },
  check: (_view, balancer) => refuseUnsupported(balancer, FIXED),
  remove: ({ plan, asked }, { id }) => {
    if (asked.isSet('cascade')) return;
    const parts = [...plan.by('listener', 'loadbalancer_id', id), ...plan.by('pool', 'loadbalancer_id', id)];
    if (parts.length === 0) return;
    throw new CableError('InUse', `Cannot delete load balancer ${id}: it has listeners or pools.`, {
      label: 'LoadBalancer',
      detail: 'Delete them first, or all together with cascade=true (openstack loadbalancer delete --cascade).',
    });
  },
  removed: releaseVip,
  claims: (balancer) => [vipClaim(balancer)],
  broken: brokenBalancer,
  present: (tables, balancer) => ({
    provisioning_status: 'ACTIVE',
    operating_status: balancerStatus(tables, balancer),
    listeners: idsOf(tables.of('listener').by('loadbalancer_id', balancer.id)),
    pools: idsOf(tables.of('pool').by('loadbalancer_id', balancer.id)),
  }),
  actions: { status: showStatus },
});

/** Objects as Octavia lists them within another one, in the order of their ids. */
export function idsOf(objects: readonly { readonly id: string }[]): readonly { readonly id: string }[] {
  return objects.map(({ id }) => ({ id })).sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function showStatus(...[deps, id, , asked]: Parameters<ActionHandler>): Promise<unknown> {
  const resource = deps.resources.named('loadbalancer');
  await currentRow(deps, resource, id, readerOf(deps, asked.credentials));
  const balancer = deps.tables.of('loadbalancer').get(id);
  return balancer === undefined ? {} : { loadbalancer: statusTree(deps.tables, balancer) };
}

function vipClaim({ vip_port_id: portId }: LoadBalancer): Claim {
  return {
    kind: 'vip',
    value: 'vip',
    under: { type: 'port', id: portId },
    holder: (look) => look.by('loadbalancer', 'vip_port_id', portId)[0]?.id,
    taken: (holder) =>
      new CableError('VIPInUse', `Port ${portId} has the virtual address of load balancer ${holder} already.`),
  };
}

function* brokenBalancer(look: Look, balancer: LoadBalancer): Iterable<Broken> {
  yield* brokenUnlessTaken(() => refuseUnsupported(balancer, FIXED));
  const { vip_port_id, vip_network_id, vip_subnet_id, vip_address } = balancer;
  const port = look.get('port', vip_port_id);
  if (port === undefined) return;
  const has = port.fixed_ips.some((one) => one.subnet_id === vip_subnet_id && one.ip_address === vip_address);
  if (!has || port.network_id !== vip_network_id) {
    yield {
      rule: 'a virtual address is one of its port',
      detail: `port ${port.id} of network ${port.network_id} has not ${vip_address} in ${vip_network_id}`,
    };
  }
  if (isVipOf(port, balancer.id)) return;
  yield { rule: 'the port of a virtual address is its load balancer’s', detail: `port ${port.id} is not` };
}
