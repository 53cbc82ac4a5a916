export type { Capabilities, ExtensionSaid, FlavorSaid, LimitName, PlugSaid, ResourceName } from './contract.ts';
export {
  capabilitiesText,
  DETAILS_MAX,
  isFields,
  LIMITS,
  NETWORK_TYPES,
  parseCapabilities,
  parseLimits,
  parsePlug,
  parseUsage,
  RESOURCES,
  shortText,
  textOr,
  VIF_TYPES,
  visibleText,
} from './contract.ts';
export type { CallOptions, PluginAnswer, PluginClient, PluginPlace } from './plugin-client.ts';
export { createPluginClient, PluginUnreachable } from './plugin-client.ts';
export type { PluginHandlers, PluginListen, PluginServer, Refused } from './plugin-server.ts';
export { createPluginServer } from './plugin-server.ts';
export type { Check, ProbeOptions, ProbeReport } from './probe.ts';
export { PROBE_NAME, runProbe } from './probe.ts';
