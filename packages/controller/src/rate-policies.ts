/** QoS policies that limit pods: one for each pair of rates, of the cluster's own project, shared with all of the cluster's. */
import type { Client } from '@cable/api';
import { ApiError } from '@cable/api';
import { type AnyObject, clusterProjects, namespaceProject } from '@cable/model';
import type { CableAccess } from './cable-access.ts';
import type { Rates } from './wishes.ts';

export class RatePolicies {
  readonly #cable: Pick<CableAccess, 'own'>;
  readonly #cluster: string;
  /** The cluster's own: others may share policies of these names with it. */
  readonly #projectId: string;
  /** By name. A promise while it is being made: many pods with one pair of rates make it once. */
  readonly #known = new Map<string, Promise<string>>();

  constructor(cable: Pick<CableAccess, 'own'>, cluster: string) {
    this.#cable = cable;
    this.#cluster = cluster;
    this.#projectId = namespaceProject(cluster, '');
  }

  /** ID of the policy; null: nothing is limited. */
  async idOf(rates: Rates): Promise<string | null> {
    const { ingressKbps, egressKbps } = rates;
    if (ingressKbps === 0 && egressKbps === 0) return null;
    const name = `${PREFIX}${ingressKbps}/${egressKbps}`;
    const known = this.#known.get(name) ?? this.#make(name, rates);
    this.#known.set(name, known);
    try {
      return await known;
    } catch (err) {
      this.#known.delete(name);
      throw err;
    }
  }

  /** Deletes those that no port has any more. `isUsed`: of what is known of ports; the server refuses what has come meanwhile. */
  async sweep(isUsed: (id: string) => boolean): Promise<void> {
    const client = this.#cable.own;
    for (const policy of (await client.list('qos_policy', { project_id: this.#projectId })) as readonly AnyObject[]) {
      const name = String(policy['name']);
      if (!name.startsWith(PREFIX) || isUsed(policy.id)) continue;
      this.#known.delete(name);
      await client.delete('qos_policy', policy.id).catch((err: unknown) => {
        if (!(err instanceof ApiError) || err.status >= 500) throw err;
      });
    }
  }

  async #make(name: string, { ingressKbps, egressKbps }: Rates): Promise<string> {
    const client = this.#cable.own;
    const [found] = (await client.list('qos_policy', { name, project_id: this.#projectId })) as readonly AnyObject[];
    const { id } = found ?? (await client.create('qos_policy', { name }));
    for (const [direction, kbps] of [
      ['ingress', ingressKbps],
      ['egress', egressKbps],
    ] as const)
      await limit(client, id, direction, kbps);
    await share(client, id, clusterProjects(this.#cluster));
    return id;
  }
}

const PREFIX = 'kubernetes rate ';

/** What is there already stays: the name says what it is. */
async function limit(client: Client, policyId: string, direction: string, kbps: number): Promise<void> {
  if (kbps === 0) return;
  const rules = client.within(policyId);
  const there = (await rules.list('qos_bandwidth_limit_rule', { direction })) as readonly AnyObject[];
  if (there.length === 0) await rules.create('qos_bandwidth_limit_rule', { direction, max_kbps: kbps });
}

async function share(client: Client, id: string, target: string): Promise<void> {
  const there = (await client.list('rbac_policy', { object_id: id })) as readonly AnyObject[];
  if (there.some((one) => one['target_tenant'] === target)) return;
  const policy = { object_type: 'qos_policy', object_id: id, action: 'access_as_shared', target_tenant: target };
  await client.create('rbac_policy', policy);
}
