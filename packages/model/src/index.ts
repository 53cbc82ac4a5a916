export * from './address.ts';
export {
  type ActionCommand,
  actionCommands,
  CommandBook,
  dashed,
  FIXED_COMMANDS,
  FIXED_OPTIONS,
  isCommandText,
  isOptionName,
  optionKey,
  QUERY_PARAMETERS,
  resourceWords,
  VERB_WORDS,
} from './command-words.ts';
export type * from './declaration.ts';
export { STANDARD_ATTRIBUTES } from './declaration.ts';
export { DeclarationError } from './declaration-checks.ts';
export { type DefineContext, defineResource } from './define-resource.ts';
export * from './dhcp-options.ts';
export * from './dns-assignment.ts';
export * from './dns-name.ts';
export * from './domain-pattern.ts';
export * from './errors.ts';
export type { ExtensionDeclaration, ShownBy, StoredBy } from './extensions/extension.ts';
export { EXTRA_ROUTES_MAX } from './extensions/extraroute.ts';
export { TAG_MAX_LENGTH, TAGS_MAX } from './extensions/tags.ts';
export * from './frame-filter.ts';
export * from './host-asks.ts';
export * from './host-protocol.ts';
export type * from './ipv6-mode.ts';
export * from './label-selector.ts';
export type * from './objects.ts';
export { FIRST_INTERFACE, VPC_INTERFACE } from './pod-interfaces.ts';
export { CLUSTER_POLICY_PREFIXES_MAX, POLICY_PREFIXES_MAX, prefixesLeft } from './policy-prefixes.ts';
export { composeRegistry, type Registry, servedModels, servedName } from './registry.ts';
export { agentResource } from './resources/agent.ts';
export { PARENT_GROUP } from './resources/default-security-group-rule.ts';
export * from './resources/host.ts';
export {
  clusterProjects,
  HANDED_OVER,
  isClusterName,
  isClusterOwn,
  kubernetesClusterResource,
  namespaceProject,
} from './resources/kubernetes-cluster.ts';
export * from './resources/network.ts';
export { POLICY_SLICES_MAX } from './resources/network-policy.ts';
export * from './resources/port.ts';
export { protonResource } from './resources/proton.ts';
export { PSEUDOWIRE_MATCHES_MAX } from './resources/pseudowire.ts';
export * from './resources/qos.ts';
export * from './resources/qos-minimum.ts';
export * from './resources/router.ts';
export { ROUTER_EGRESSES_MAX } from './resources/router-egress.ts';
export { PEERING_PREFIXES_MAX, ROUTER_PEERINGS_MAX } from './resources/router-peering.ts';
export { ROUTER_POLICIES_MAX } from './resources/router-policy.ts';
export * from './resources/security-group.ts';
export * from './resources/snat-lease.ts';
export * from './resources/subnet.ts';
export * from './resources/trunk.ts';
export { BUILT_IN_EXTENSIONS, BUILT_IN_REGISTRY, BUILT_IN_RESOURCES, CORE_RESOURCES } from './resources.ts';
export * from './sharing.ts';
export * from './slice-buckets.ts';
export type * from './slices.ts';
export type * from './slices-v1.ts';
export * from './tap-bridges.ts';
export * from './underlay-mtu.ts';
export * from './vpn.ts';
