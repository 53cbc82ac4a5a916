/** Which VLANs of physical networks a Kubernetes cluster's controller may make networks of: what an administrator has given the cluster (`provider_networks`), and no others. */
import { type AnyObject, CableError, type KubernetesCluster, type Network, namespaceProject } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import { clusterOf } from '../engine/of-clusters.ts';

type Given = Partial<Network>;

/** Before what else is made of how a network is carried: what counts is what was given. */
export const providerOfClusterModule: Contribution<AnyObject> = contribute<Network>({
  derive: (planning, given) => {
    const { controller } = planning.asked.credentials;
    if (controller === undefined || !saysHow(given)) return {};
    const { 'provider:physical_network': physical = null, 'provider:segmentation_id': vlan = null } = given;
    if (given['provider:network_type'] !== 'vlan' || physical === null || vlan === null) {
      const detail = 'Give provider:network_type vlan, provider:physical_network and provider:segmentation_id.';
      throw refusal(`${controller.cluster} may choose how a network is carried by naming a VLAN alone.`, detail);
    }
    const own = namespaceProject(controller.cluster, '');
    const isGiven = (clusterOf(planning, controller.cluster)?.provider_networks ?? []).some(
      (one) =>
        one.physical_network === physical &&
        one.minimum <= vlan &&
        vlan <= one.maximum &&
        (one.project_id ?? own) === given.project_id,
    );
    if (isGiven) return {};
    throw refusal(
      `VLAN ${vlan} of physical network ${physical} is not given to project ${given.project_id} of cluster ${controller.cluster}.`,
      'An administrator of Cable gives it: provider_networks of the cluster.',
    );
  },
});

function saysHow(given: Given): boolean {
  const { 'provider:network_type': type = 'vxlan' } = given;
  return (
    (type !== 'vxlan' && type !== null) ||
    (given['provider:physical_network'] ?? null) !== null ||
    (given['provider:segmentation_id'] ?? null) !== null
  );
}

function refusal(message: string, detail: string): CableError {
  return new CableError('ProviderNetworkNotAllowed', message, { detail });
}

/** Of a cluster: ranges that are none. */
export const providerRangesModule: Contribution<AnyObject> = contribute<KubernetesCluster>({
  check: (_view, { provider_networks: networks }) => {
    const other = (networks ?? []).find(({ minimum, maximum }) => minimum > maximum);
    if (other === undefined) return;
    const { minimum, maximum } = other;
    throw new CableError(
      'InvalidInput',
      `Invalid input for provider_networks. Reason: minimum ${minimum} is more than maximum ${maximum}: give the first VLAN and the last.`,
    );
  },
});
