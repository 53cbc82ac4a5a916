/** What is stored of an object. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AnyObject, type Attribute, BUILT_IN_RESOURCES, type ResourceModel } from '@cable/model';
import { parseObject, putObject } from './object-text.ts';

const port = BUILT_IN_RESOURCES.find(({ type }) => type === 'port') as ResourceModel;

function textOf(type: string, object: object): string {
  const op = putObject(type, object as AnyObject);
  assert(op.kind === 'put');
  return op.value;
}

/** An object with every attribute at its default, and what is given. */
function whole(resource: ResourceModel, given: object): Record<string, unknown> {
  const stored = Object.entries(resource.storedAttributes);
  const defaults = stored.flatMap(([name, one]) => (one.default === undefined ? [] : [[name, one.default] as const]));
  return { id: 'x', ...Object.fromEntries(defaults), ...given };
}

test('an object of each type comes back as it was, with nothing of its defaults', () => {
  for (const resource of BUILT_IN_RESOURCES) {
    const object = whole(resource, {});
    assert.deepEqual(parseObject(resource, textOf(resource.type, object)), object, resource.type);
  }
});

test('values that are not the default come back, empty ones too', () => {
  const values: readonly unknown[] = [null, false, true, '', 'x', 0, 1, [], ['x'], [null], {}, { a: 1 }];
  for (const resource of BUILT_IN_RESOURCES) {
    for (const name of Object.keys(resource.storedAttributes)) {
      for (const value of name === 'id' ? [] : values) {
        const object = whole(resource, { [name]: value });
        const read = parseObject(resource, textOf(resource.type, object));
        assert.deepEqual(read, object, `${resource.type}.${name} = ${JSON.stringify(value)}`);
      }
    }
  }
});

test('what is hidden, or of no declaration, comes back, behind the others', () => {
  const object = whole(port, { _slot: 3, _placed: true, other: '' });
  const read = parseObject(port, textOf('port', object)) ?? {};
  assert.deepEqual(read, object);
  assert.deepEqual(Object.keys(read).slice(-3), ['_slot', '_placed', 'other']);
});

test('a text with every attribute, as older versions wrote it, is read as well', () => {
  const object = whole(port, { name: 'old', tags: [], description: '' });
  assert.deepEqual(parseObject(port, JSON.stringify(object)), object);
});

test('an extension that gives an attribute another default leaves stored objects alone', () => {
  const changed = { ...(port.storedAttributes['description'] as Attribute), default: 'none yet' };
  const other = { ...port, storedAttributes: { ...port.storedAttributes, description: changed } };
  for (const description of ['', 'none yet', 'mine']) {
    const text = textOf('port', whole(port, { description }));
    assert.equal((parseObject(other, text) as unknown as { description: string }).description, description);
  }
  const gained = { ...changed, default: 'new' };
  const newer = { ...port, storedAttributes: { ...port.storedAttributes, gained } };
  assert.equal((parseObject(newer, textOf('port', whole(port, {}))) as unknown as { gained: string }).gained, 'new');
});

test('one object does not get what another one is given', () => {
  const text = textOf('port', whole(port, {}));
  const [first, second] = [parseObject(port, text), parseObject(port, text)] as unknown as { tags: string[] }[];
  assert(first && second);
  assert.throws(() => first.tags.push('x'), TypeError);
  assert.deepEqual(second.tags, []);
});

/**
 * Stored objects do not say these where they have their default: another default changes what is in every store, and needs a new form of it
 * (`engine/format.ts`) that writes the objects anew. Attributes that are new are added here.
 */
test('what stored objects leave out is what it was', () => {
  const attributes = (type: string): string => {
    const resource = BUILT_IN_RESOURCES.find((one) => one.type === type) as ResourceModel;
    const bare = new Set(Object.keys(JSON.parse(textOf(type, whole(resource, {})))));
    return Object.keys(whole(resource, {}))
      .filter((name) => !bare.has(name))
      .sort()
      .join(' ');
  };
  const all = BUILT_IN_RESOURCES.map(({ type }) => [type, attributes(type)] as const);
  const leftOut = Object.fromEntries(all.filter(([, names]) => names !== ''));
  assert.deepEqual(leftOut, LEFT_OUT);
});

const LEFT_OUT: Readonly<Record<string, string>> = {
  network:
    'availability_zone_hints cable:backend cable:cluster cable:flow_export cable:origin description dns_domain external_to flavor:network is_default name provider:physical_network router:external shared_with tags',
  subnet:
    'cable:allow_subnets cable:backend cable:cluster cable:gateway_cluster cable:gateway_node cable:gateway_nodes cable:nat_outgoing cable:origin cable:private description dns_nameservers host_routes ipv6_address_mode ipv6_ra_mode name segment_id service_types subnetpool_id tags',
  port: 'allowed_address_pairs binding:host_id binding:profile binding_failed cable:announces cable:backend cable:cluster cable:default_route cable:flow_export cable:hostname cable:labels cable:named_ports cable:namespace cable:origin cable:public_keys cable:user_data cable:vendor_data cable:zone description device_id device_owner device_profile dns_domain dns_name extra_dhcp_opts inactive_bindings name numa_affinity_policy qos_policy_id standby_hosts tags tapped',
  host: 'bandwidth bridge_mappings cluster description features underlay_mtu',
  host_certificate: 'authority expires_at issued_at not_before revoked',
  join_token: 'host replace',
  kubernetes_cluster: 'description holder namespace_projects provider_networks uid',
  address_group: 'addresses description name shared_with',
  address_scope: 'description name shared_with',
  router_peering: 'accepted_prefixes description name subnet_ids',
  router_egress: 'cable:cluster cable:origin description external_addresses name namespaces pods subnet_ids',
  router_policy:
    'description destination_ip_prefix name next_hop port_range_max port_range_min protocol source_ip_prefix source_port_range_max source_port_range_min subnet_id',
  service_scope: 'cable:cluster cable:origin cluster_domain description name router_ids',
  service:
    'announced_by announced_ips cable:cluster cable:origin description external_ips external_name health_check_node_port load_balancer_ips load_balancer_source_ranges name',
  endpoint_set: 'cable:cluster cable:origin description endpoints name ports',
  snat_lease: 'released_at resting',
  floatingip:
    'cable:cluster cable:origin description dns_domain dns_name fixed_ip_address port_id qos_policy_id router_id tags',
  service_profile: 'description driver metainfo',
  flavor: 'description name service_profiles',
  loadbalancer: 'additional_vips availability_zone description flavor_id name tags vip_qos_policy_id',
  listener: 'allowed_cidrs default_pool_id description insert_headers name tags',
  pool: 'description listener_id name session_persistence tags tls_enabled',
  member: 'backup description monitor_address monitor_port name subnet_id tags',
  kubernetes_namespace: 'cable:cluster cable:origin description labels',
  l7policy: 'description name position redirect_http_code redirect_pool_id redirect_prefix redirect_url',
  healthmonitor: 'description domain_name expected_codes http_method name tags url_path',
  log: 'description name resource_id target_id',
  network_policy: 'cable:cluster cable:origin description name pods rules',
  cluster_network_policy: 'cable:cluster cable:origin description domain_except name namespaces pods rules',
  host_policy: 'cluster description name rules',
  network_segment_range: 'cable:backend default description name physical_network tags',
  port_forwarding: 'description external_port external_port_range internal_port internal_port_range',
  port_owner:
    'controller deadline device_id device_owner fixed_ips host_id inactive_bindings mac_address name open proton_network_id reason refused session standby_hosts status vif_details vif_type',
  pseudowire: 'admitted_kbps at_port_id back_port_id guaranteed_kbps matches name transparent',
  proton: 'backend born change description files project_quotas quotas served_versions versions',
  proton_controller: 'user_id',
  proton_network: 'label route_distinguisher router_id segmentation_id subnets targets',
  vpn_peering: 'local_address',
  qos_minimum_bandwidth_rule: 'description',
  host_booking: 'granted',
  qos_policy: 'cable:cluster cable:origin description is_default name shared_with tags',
  qos_bandwidth_limit_rule: 'description',
  qos_dscp_marking_rule: 'description',
  qos_packet_rate_limit_rule: 'description',
  qos_minimum_packet_rate_rule: 'description',
  router:
    'availability_zone_hints cable:backend cable:cluster cable:node_egress cable:origin description external_gateway_info flavor:router flavor_id name routes tags',
  security_group: 'cable:cluster cable:origin description name shared_with tags',
  security_group_rule:
    'description port_range_max port_range_min protocol remote_address_group_id remote_group_id remote_ip_prefix',
  default_security_group_rule:
    'description port_range_max port_range_min protocol remote_address_group_id remote_group_id remote_ip_prefix used_in_default_sg',
  segment: 'description name physical_network segmentation_id',
  subnetpool: 'address_scope_id default_quota description is_default shared_with tags',
  tap_service: 'cable:cluster cable:origin description name',
  tap_flow: 'cable:cluster cable:filter cable:origin description name',
  tap_mirror: 'cable:filter description name',
  trunk: 'description name sub_ports tags',
  plugin: 'authorities capabilities description limits problem report secret',
  dispatch_rule: 'flavor projects resource zone',
  dispatch_default: 'network_flavor plugin router_flavor',
};
