/** Which port a member of a pool is. */
import type { Member, Port } from '@cable/model';
import type { Tables } from '../tables.ts';

/** The port that has the member's address in its subnet; undefined: none has, so no host can probe it. */
export function memberPort(tables: Pick<Tables, 'of'>, member: Member): Port | undefined {
  const pool = tables.of('pool').get(member.pool_id);
  const balancer = tables.of('loadbalancer').get(pool?.loadbalancer_id ?? '');
  const subnetId = member.subnet_id ?? balancer?.vip_subnet_id;
  return tables
    .of('port')
    .by('fixed_ips.ip_address', member.address)
    .find(({ fixed_ips }) => fixed_ips.some((one) => one.subnet_id === subnetId && one.ip_address === member.address));
}
