/** Which private subnet keeps a port's packets to itself. */
import { inVpcOf, isInSubnet, isSamePod } from '@cable/compiler';
import type { DropReason, Port } from '@cable/model';
import type { Tables } from '../tables.ts';
import type { Eyes, Named } from './eyes.ts';

const REASON = 'private_subnet';

/** The private subnets that one of the ports is in, the first that is in any; those that the caller may see. */
export function privateSubnets(
  tables: Pick<Tables, 'of'>,
  ports: readonly (Port | undefined)[],
  eyes: Eyes,
): readonly Named[] {
  for (const one of ports) {
    const port = one === undefined ? undefined : keptPort(tables, one);
    const subnets = port === undefined ? [] : tables.of('subnet').by('network_id', port.network_id);
    const mine = subnets.filter((one) => one['cable:private'] && port !== undefined && isInSubnet(port, one));
    if (mine.length > 0) return mine.flatMap(({ id }) => eyes.subnet(id) ?? []);
  }
  return [];
}

/** The port whose subnets count: of a leg its pod's port in the VPC. */
export function keptPort(tables: Pick<Tables, 'of'>, port: Port): Port {
  const inVpc = inVpcOf(port);
  const others = inVpc === undefined ? [] : tables.of('port').by('device_id', inVpc);
  return others.find((one) => isSamePod(one, port)) ?? port;
}

/** What the reason means, with the subnets' names if it is for them. */
export function meaningFor(
  { name, meaning }: Pick<DropReason, 'name' | 'meaning'>,
  tables: Pick<Tables, 'of'>,
  ports: readonly (Port | undefined)[],
  eyes: Eyes,
): string {
  if (name !== REASON) return meaning;
  const subnets = privateSubnets(tables, ports, eyes);
  return subnets.length === 0 ? meaning : `${meaning}: ${subnets.map((one) => one.name || one.id).join(', ')}`;
}
