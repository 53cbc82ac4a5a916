import { parseIp } from '@cable/model';
import { isHostAddress, prefixOf } from '../resources/subnet.ts';
import type { Tables } from '../tables.ts';
import type { ResourceRegistry } from './registry.ts';

/** One broken promise of the store's content, for people. */
export type Violation = { readonly rule: string; readonly object: string; readonly detail: string };

/** Looks at everything: references lead somewhere, no address, MAC or VNI is taken twice, addresses fit their subnets. Empty: all is well. */
export function checkInvariants(tables: Tables, resources: ResourceRegistry): readonly Violation[] {
  return [
    ...checkReferences(tables, resources),
    ...checkUnique('an address is taken once in a subnet', addressesOf(tables)),
    ...checkUnique('a MAC address is taken once in a network', macsOf(tables)),
    ...checkUnique('a VXLAN network identifier is taken once', vnisOf(tables)),
    ...checkUnique('a project has one default security group', defaultGroupsOf(tables)),
    ...checkAddresses(tables),
  ];
}

type Claim = { readonly key: string; readonly object: string };

function checkUnique(rule: string, claims: Iterable<Claim>): readonly Violation[] {
  const seen = new Map<string, string>();
  const violations: Violation[] = [];
  for (const { key, object } of claims) {
    const other = seen.get(key);
    if (other !== undefined) violations.push({ rule, object, detail: `${key} belongs to ${other} already` });
    seen.set(key, object);
  }
  return violations;
}

function checkReferences(tables: Tables, resources: ResourceRegistry): readonly Violation[] {
  const violations: Violation[] = [];
  for (const resource of resources.all.filter((one) => one.stored)) {
    for (const row of tables.any(resource.type).values()) {
      for (const { attribute, type, id } of resources.heldBy(resource, row)) {
        if (tables.any(type).get(id) !== undefined) continue;
        const object = `${resource.type}/${row.id}`;
        violations.push({ rule: 'a reference leads somewhere', object, detail: `${attribute}: no ${type} ${id}` });
      }
    }
  }
  return violations;
}

function* addressesOf(tables: Tables): Iterable<Claim> {
  for (const port of tables.of('port').values()) {
    for (const { subnet_id, ip_address } of port.fixed_ips) {
      yield { key: `${subnet_id}/${ip_address}`, object: `port/${port.id}` };
    }
  }
}

function* macsOf(tables: Tables): Iterable<Claim> {
  for (const port of tables.of('port').values()) {
    yield { key: `${port.network_id}/${port.mac_address}`, object: `port/${port.id}` };
  }
}

function* vnisOf(tables: Tables): Iterable<Claim> {
  for (const network of tables.of('network').values()) {
    yield { key: String(network['provider:segmentation_id']), object: `network/${network.id}` };
  }
}

function* defaultGroupsOf(tables: Tables): Iterable<Claim> {
  for (const group of tables.of('security_group').values()) {
    if (group.name === 'default') yield { key: group.project_id, object: `security_group/${group.id}` };
  }
}

function checkAddresses(tables: Tables): readonly Violation[] {
  const violations: Violation[] = [];
  for (const port of tables.of('port').values()) {
    for (const { subnet_id, ip_address } of port.fixed_ips) {
      const subnet = tables.of('subnet').get(subnet_id);
      const ip = parseIp(ip_address);
      if (subnet === undefined || (ip !== undefined && isHostAddress(prefixOf(subnet.cidr), ip))) continue;
      const detail = `${ip_address} is not of subnet ${subnet_id} (${subnet.cidr})`;
      violations.push({ rule: 'an address is one of its subnet', object: `port/${port.id}`, detail });
    }
  }
  return violations;
}
