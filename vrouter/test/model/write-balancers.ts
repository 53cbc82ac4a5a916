/** What an agent would write of load balancers: virtual addresses, their ports, members and who of these has which slot. */
import { maglevTable } from '../../../packages/agent/src/balance/maglev.ts';
import {
  CB_ENDPOINT_VIP,
  CB_MAGLEV_SLOTS,
  CB_MEMBER_F_DOWN,
  CB_SVC_F_AFFINITY,
  MAPS,
} from '../../../packages/agent/src/bpf/abi.gen.ts';
import { addr } from '../world.ts';
import { routerBetween } from './balancers.ts';
import type { Balancer, Cloud, Member, Pool } from './cloud.ts';
import type { Target } from './write-cloud.ts';

const UDP = 17;

export function writeBalancers(on: Target, cloud: Cloud): void {
  for (const balancer of cloud.balancers) writeBalancer(on, cloud, balancer);
}

function writeBalancer(on: Target, cloud: Cloud, { network, address, mac, listeners, pools }: Balancer): void {
  const { world, numbers } = on;
  const vni = numbers.networks.of(network);
  world.setEndpoint(vni, [address], mac, { kind: CB_ENDPOINT_VIP });
  const slots = new Map(pools.map((pool) => [pool.name, writePool(on, cloud, network, pool)]));
  for (const { port, pool: name } of listeners) {
    const pool = pools.find((one) => one.name === name);
    if (pool === undefined) continue;
    world.write(
      MAPS.cb_svc_1,
      { addr: addr(address), net: world.net(vni), portBe: port, protocol: pool.protocol },
      {
        pool: numbers.pools.of(name),
        slots: slots.get(name) ?? 0,
        flags: pool.affinity ? CB_SVC_F_AFFINITY : 0,
      },
    );
  }
}

/** Returns how many slots it has. */
function writePool(on: Target, cloud: Cloud, network: string, { name, protocol, members }: Pool): number {
  const { world, numbers } = on;
  const pool = numbers.pools.of(name);
  for (const member of members) writeMember(on, cloud, network, { pool, protocol, member });
  const taking = members.filter(({ weight }) => weight > 0);
  const table = maglevTable(taking.map(({ name: id, weight, isDown }) => ({ id, weight, isUp: !isDown })));
  const slots = Array.from(table, (place) => numbers.members.of(taking[place]?.name ?? ''));
  for (let chunk = 0; chunk * CB_MAGLEV_SLOTS < slots.length; chunk++) {
    const member = Array.from({ length: CB_MAGLEV_SLOTS }, (_, at) => slots[chunk * CB_MAGLEV_SLOTS + at] ?? 0);
    world.write(MAPS.cb_maglev_1, { pool, chunk }, { member });
  }
  return slots.length;
}

function writeMember(
  { world, numbers }: Target,
  cloud: Cloud,
  network: string,
  of: { readonly pool: number; readonly protocol: number; readonly member: Member },
): void {
  const { pool, protocol, member } = of;
  const router = member.network === network ? undefined : routerBetween(cloud, network, member.network);
  world.write(
    MAPS.cb_member_1,
    { member: numbers.members.of(member.name) },
    {
      ...{ addr: addr(member.address), pool, portBe: member.port },
      net: world.net(numbers.networks.of(member.network)),
      vrf: router === undefined ? 0 : numbers.routers.of(router.name),
      flags: protocol === UDP && member.isDown ? CB_MEMBER_F_DOWN : 0,
    },
  );
}
