/** Every extension that Cable ships with: a line for each file. Nothing else may be exported here. */
export * from './allowed-address-pairs.ts';
export * from './binding.ts';
export * from './cable-guest.ts';
export * from './collections.ts';
export * from './dns-integration.ts';
export * from './extra-dhcp-opt.ts';
export * from './extraroute.ts';
export { loadBalancerExtension } from './load-balancer.ts';
export * from './net-mtu.ts';
export * from './port-security.ts';
export * from './provider.ts';
export * from './qos.ts';
export * from './quotas.ts';
export * from './router.ts';
export * from './security-group.ts';
export * from './standard-attributes.ts';
export * from './stateful-security-group.ts';
export * from './trunk.ts';
