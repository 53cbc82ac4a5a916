/**
 * By what neutron-server 21 filters and sorts its lists, with the extensions that Cable has: the names of `is_filter` and `is_sort_key` in the attribute maps of
 * python3-neutron-lib 3.1 and python3-neutron 21 (Debian 12). `description` and `revision_number` of standard attributes are filters there, too.
 */
export const NEUTRON_LISTS: Readonly<Record<string, { readonly filters: string; readonly sorts: string }>> = {
  address_groups: {
    filters: 'id name description project_id',
    sorts: 'id name description project_id',
  },
  address_scopes: {
    filters: 'id name tenant_id shared ip_version',
    sorts: 'id name tenant_id shared ip_version',
  },
  agents: {
    filters: 'id agent_type binary topic host admin_state_up alive description availability_zone',
    sorts: 'id agent_type binary topic host admin_state_up created_at started_at heartbeat_timestamp alive description',
  },
  availability_zones: {
    filters: 'name resource state',
    sorts: '',
  },
  bandwidth_limit_rules: {
    filters: 'id max_kbps max_burst_kbps direction',
    sorts: 'id max_kbps max_burst_kbps direction',
  },
  dscp_marking_rules: {
    filters: 'id dscp_mark',
    sorts: 'id dscp_mark',
  },
  floatingip_pools: {
    filters: '',
    sorts: '',
  },
  floatingips: {
    filters: 'id floating_ip_address floating_network_id router_id port_id fixed_ip_address tenant_id status',
    sorts: 'id floating_ip_address floating_network_id router_id fixed_ip_address tenant_id status',
  },
  minimum_bandwidth_rules: {
    filters: 'id min_kbps direction',
    sorts: 'id min_kbps direction',
  },
  network_ip_availabilities: {
    filters: 'network_id network_name tenant_id ip_version',
    sorts: 'network_id',
  },
  network_segment_ranges: {
    filters: 'id name project_id network_type physical_network',
    sorts: 'id name project_id',
  },
  networks: {
    filters:
      'is_default router:external id name admin_state_up status tenant_id shared mtu provider:network_type provider:physical_network provider:segmentation_id',
    sorts: 'id name admin_state_up status tenant_id availability_zone_hints mtu',
  },
  packet_rate_limit_rules: {
    filters: 'id max_kpps max_burst_kpps direction',
    sorts: 'id max_kpps max_burst_kpps direction',
  },
  policies: {
    filters: 'id name shared tenant_id is_default',
    sorts: 'id name tenant_id',
  },
  port_forwardings: {
    filters: 'description external_port_range external_port id protocol internal_port_id',
    sorts: 'external_port_range external_port id protocol internal_port_id',
  },
  ports: {
    filters:
      'ip_allocation id name network_id admin_state_up mac_address fixed_ips device_id device_owner tenant_id status binding:host_id security_groups',
    sorts: 'ip_allocation id name network_id admin_state_up mac_address device_id device_owner tenant_id status',
  },
  rbac_policies: {
    filters: 'id object_type object_id target_tenant tenant_id action',
    sorts: '',
  },
  routers: {
    filters: 'id name admin_state_up tenant_id',
    sorts: 'id name admin_state_up status tenant_id',
  },
  rule_types: {
    filters: '',
    sorts: '',
  },
  security_group_rules: {
    filters:
      'normalized_cidr remote_address_group_id id security_group_id remote_group_id direction protocol port_range_min port_range_max ethertype remote_ip_prefix tenant_id',
    sorts:
      'normalized_cidr remote_address_group_id id security_group_id remote_group_id direction protocol port_range_min port_range_max ethertype remote_ip_prefix tenant_id',
  },
  security_groups: {
    filters: 'shared id name tenant_id',
    sorts: 'id name tenant_id',
  },
  segments: {
    filters: 'id network_id physical_network network_type name',
    sorts: 'id network_id physical_network network_type segmentation_id name',
  },
  service_providers: {
    filters: '',
    sorts: '',
  },
  subnetpools: {
    filters:
      'address_scope_id id name tenant_id default_quota ip_version default_prefixlen min_prefixlen max_prefixlen is_default shared',
    sorts:
      'address_scope_id id name tenant_id default_quota ip_version default_prefixlen min_prefixlen max_prefixlen is_default shared',
  },
  subnets: {
    filters:
      'segment_id id name ip_version network_id subnetpool_id cidr gateway_ip tenant_id enable_dhcp ipv6_ra_mode ipv6_address_mode shared',
    sorts:
      'segment_id id name ip_version network_id subnetpool_id cidr gateway_ip tenant_id enable_dhcp ipv6_ra_mode ipv6_address_mode',
  },
  tap_flows: {
    filters: '',
    sorts: '',
  },
  tap_services: {
    filters: '',
    sorts: '',
  },
  trunks: {
    filters: 'admin_state_up id name tenant_id port_id',
    sorts: 'admin_state_up id name tenant_id port_id status',
  },
};
