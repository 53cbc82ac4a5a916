/** Pools of floating IPs: subnets of the external networks that the caller sees, made from the tables when they are asked for. */
import type { AnyObject } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import { sees } from '../engine/reader.ts';

/** As Neutron lists them: of the project of who asks, whoever has the network; of IPv6 there are no floating IPs. */
export const floatingIpPoolModule: Contribution<AnyObject> = contribute<AnyObject>({
  rows: (tables, _filters, reader) => {
    const networks = tables.any('network').by('router:external', 'true');
    return networks
      .filter((network) => sees(reader, { type: 'network' }, network))
      .flatMap((network) => tables.of('subnet').by('network_id', network.id))
      .filter((subnet) => subnet.ip_version === 4)
      .map(({ id, name, network_id: networkId, cidr }) => ({
        ...{ id, subnet_id: id, subnet_name: name, network_id: networkId, cidr },
        project_id: reader.view.credentials.projectId,
      }));
  },
});
