export type { Capabilities, ExtensionSaid, FlavorSaid, LimitName, ResourceName } from './contract.ts';
export {
  capabilitiesText,
  isFields,
  LIMITS,
  NETWORK_TYPES,
  parseCapabilities,
  parseLimits,
  parseUsage,
  RESOURCES,
  shortText,
  textOr,
} from './contract.ts';
export type { CallOptions, PluginAnswer, PluginClient, PluginPlace } from './plugin-client.ts';
export { createPluginClient, PluginUnreachable } from './plugin-client.ts';
export type { PluginHandlers, PluginListen, PluginServer, Refused } from './plugin-server.ts';
export { createPluginServer } from './plugin-server.ts';
export type { Check, ProbeOptions, ProbeReport } from './probe.ts';
export { PROBE_NAME, runProbe } from './probe.ts';
