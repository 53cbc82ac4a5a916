import type { Port, ResourceModel } from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import { hiddenFrom, type Reader, sees } from '../engine/reader.ts';
import { keptPort } from './private-subnets.ts';

/** An object as it is shown. */
export type Named = { readonly id: string; readonly name: string };

/** What a caller may know of what is found out: names and ids of what the rules let him see; null for the rest. */
/** Who let something pass, or did not: a rule of a security group, a network policy, or a private subnet. */
export type AllowingRule = {
  readonly id: string;
  readonly group: Named | null;
  readonly policy: Named | null;
  /** A private subnet, which allows nothing but denies. Absent: it is none. */
  readonly subnet?: Named;
};

export class Eyes {
  readonly #deps: Pick<EngineDeps, 'tables' | 'resources'>;
  readonly #reader: Reader;

  constructor(deps: Pick<EngineDeps, 'tables' | 'resources'>, reader: Reader) {
    this.#deps = deps;
    this.#reader = reader;
  }

  port(id: string | null): Named | null {
    return this.#named('port', id);
  }

  network(id: string | null): Named | null {
    return this.#named('network', id);
  }

  router(id: string | null): Named | null {
    return this.#named('router', id);
  }

  subnet(id: string): Named | null {
    return this.#named('subnet', id);
  }

  policyRoute(id: string): Named | null {
    return this.#named('router_policy', id);
  }

  service(id: string): Named | null {
    return this.#named('service', id);
  }

  peering(id: string): Named | null {
    return this.#named('router_peering', id);
  }

  /** A tap flow or a tap mirror. */
  mirror(id: string | null): Named | null {
    return this.#named('tap_flow', id) ?? this.#named('tap_mirror', id);
  }

  /** The rule of one of the port's groups, the network policy of its pod's namespace, or the private subnet that it is in, whose id begins so. */
  rule(start: string, port: Port | undefined): AllowingRule | null {
    const { tables } = this.#deps;
    for (const groupId of port?.security_groups ?? []) {
      const group = this.#named('security_group', groupId);
      if (group === null) continue;
      for (const rule of tables.of('security_group_rule').by('security_group_id', groupId))
        if (rule.id.startsWith(start)) return { id: rule.id, group, policy: null };
    }
    const namespace = port?.['cable:namespace'] ?? null;
    const policies = namespace === null ? [] : tables.of('network_policy').by('namespace', namespace);
    const policy = this.#named('network_policy', policies.find(({ id }) => id.startsWith(start))?.id ?? null);
    if (policy !== null) return { id: policy.id, group: null, policy };
    const cluster = port?.['cable:cluster'] ?? null;
    const others = cluster === null ? [] : tables.of('cluster_network_policy').by('cluster', cluster);
    const other = this.#named('cluster_network_policy', others.find(({ id }) => id.startsWith(start))?.id ?? null);
    if (other !== null) return { id: other.id, group: null, policy: other };
    const networkId = port === undefined ? '' : keptPort(tables, port).network_id;
    const subnets = tables.of('subnet').by('network_id', networkId);
    const keeper = subnets.find((one) => one['cable:private'] && one.id.startsWith(start));
    const subnet = this.#named('subnet', keeper?.id ?? null);
    return subnet === null ? null : { id: subnet.id, group: null, policy: null, subnet };
  }

  /** Where ports are is for those alone who may see the host of this one. */
  host(name: string, port: Port): string | null {
    return hiddenFrom(this.#reader, this.#model('port'), port).has('binding:host_id') ? null : name;
  }

  #named(
    type:
      | 'port'
      | 'network'
      | 'subnet'
      | 'router'
      | 'security_group'
      | 'network_policy'
      | 'cluster_network_policy'
      | 'router_policy'
      | 'router_peering'
      | 'service'
      | 'tap_flow'
      | 'tap_mirror',
    id: string | null,
  ): Named | null {
    if (id === null) return null;
    const object = this.#deps.tables.of(type).get(id);
    if (object === undefined || !sees(this.#reader, this.#model(type), object)) return null;
    return { id, name: object.name };
  }

  #model(type: string): ResourceModel {
    return this.#deps.resources.named(type);
  }
}
