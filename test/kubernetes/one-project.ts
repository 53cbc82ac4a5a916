/** What an OpenStack project has before machines and pods are in it. */
import type { Cluster } from './world.ts';

export const PROJECT = { project_id: 'f0e1d2c3' };
/** At which its members let in each other. */
export const PORT = 8080;

/** Networks `front` and `back` of the project behind its router, and a group whose members let in each other, at one port of TCP. */
export async function createProject({ cable }: Pick<Cluster, 'cable'>) {
  const router = await cable.create('router', { name: 'own', ...PROJECT });
  const networkOf = async (name: string, cidr: string): Promise<string> => {
    const network = await cable.create('network', { name, ...PROJECT });
    const subnet = await cable.create('subnet', { network_id: network.id, cidr, ip_version: 4, ...PROJECT });
    await cable.action('router', router.id, 'add_router_interface', { subnet_id: subnet.id });
    return network.id;
  };
  const group = await cable.create('security_group', { name: 'web', ...PROJECT });
  await cable.create('security_group_rule', {
    ...{ security_group_id: group.id, direction: 'ingress', ethertype: 'IPv4', remote_group_id: group.id },
    ...{ protocol: 'tcp', port_range_min: PORT, port_range_max: PORT, ...PROJECT },
  });
  return {
    front: await networkOf('front', '10.50.0.0/24'),
    back: await networkOf('back', '10.60.0.0/24'),
    group: group.id,
  };
}
