import assert from 'node:assert/strict';
import { ApiError, type Client } from '@cable/api';
import type { NetworkView, PortView, SecurityGroupView } from '@cable/model';
import type { BedHost } from './bed-host.ts';
import { eventually } from './program.ts';

/** Networks, ports of the machines themselves, and who may ping them. */
export class Cloud {
  readonly #api: Client;
  readonly #group: SecurityGroupView;
  #networks = 0;

  constructor(api: Client, group: SecurityGroupView) {
    this.#api = api;
    this.#group = group;
  }

  static async create(api: Client): Promise<Cloud> {
    return new Cloud(api, await api.create('security_group', { name: 'pinged' }));
  }

  /** With a subnet, and one of IPv6 where the server takes that: its ports have addresses that an older agent has not met before. */
  async createNetwork(): Promise<NetworkView> {
    this.#networks += 1;
    const network = await this.#api.create('network', { name: `net${this.#networks}` });
    const cidr = `10.9.${this.#networks}.0/24`;
    await this.#api.create('subnet', { network_id: network.id, ip_version: 4, cidr });
    const six = {
      network_id: network.id,
      ip_version: 6,
      cidr: `2001:db8:${this.#networks}::/64`,
      ipv6_ra_mode: 'slaac',
    };
    await this.#api.create('subnet', six).catch((err: unknown) => {
      if (!(err instanceof ApiError && err.status === 400)) throw err;
    });
    return network;
  }

  /** Lets everybody ping. Gives the rule's id. */
  allowPing(): Promise<string> {
    return this.allow('icmp');
  }

  /** Lets everybody in by that protocol, to that port alone if it is given. Gives the rule's id. */
  async allow(protocol: 'icmp' | 'tcp' | 'udp', port?: number): Promise<string> {
    const ports = port === undefined ? {} : { port_range_min: port, port_range_max: port };
    const rule = { security_group_id: this.#group.id, direction: 'ingress', ethertype: 'IPv4', protocol, ...ports };
    return (await this.#api.create('security_group_rule', rule)).id;
  }

  async revoke(rule: string): Promise<void> {
    await this.#api.delete('security_group_rule', rule);
  }

  /** A port of the machine itself: one a network, or answers would go out of the other's link. */
  createPort(host: BedHost, network: NetworkView): Promise<PortView> {
    return this.#api.create('port', {
      network_id: network.id,
      security_groups: [this.#group.id],
      device_owner: 'baremetal:none',
      'binding:vnic_type': 'baremetal',
      'binding:host_id': host.name,
    });
  }

  async deletePort({ id }: PortView): Promise<void> {
    await this.#api.delete('port', id);
  }

  async statusOf({ id }: PortView): Promise<string> {
    return (await this.#api.get('port', id)).status;
  }

  async active(...ports: readonly PortView[]): Promise<void> {
    for (const port of ports) {
      await eventually(`port ${port.id} is ACTIVE`, async () => (await this.statusOf(port)) === 'ACTIVE');
    }
  }

  /** Everything that a client of the API sees, by kind and id. */
  async contents(): Promise<Readonly<Record<string, Readonly<Record<string, unknown>>>>> {
    const contents: Record<string, Record<string, unknown>> = {};
    for (const type of ['network', 'subnet', 'port', 'security_group', 'security_group_rule'] as const) {
      for (const object of await this.#api.list(type)) contents[`${type} ${object.id}`] = { ...object };
    }
    return contents;
  }
}

export function addressOf(port: PortView): string {
  const [first] = port.fixed_ips;
  assert.ok(first);
  return first.ip_address;
}

/** The machine's end of its port's link. */
export function linkOf(port: PortView): string {
  return `cb${port.id.slice(0, 11)}`;
}
