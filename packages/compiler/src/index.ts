export type {
  CompilerTables,
  HostRow,
  IndexName,
  ListenerRow,
  LoadBalancerRow,
  MemberRow,
  NetworkRow,
  PoolRow,
  PortRow,
  RouterRow,
  RowChange,
  Rows,
  RowType,
  SecurityGroupRuleRow,
  SubnetRow,
  TableChange,
  TableName,
  TableRows,
  VpnRow,
} from './compiler-tables.ts';
export {
  compareText,
  deviceOn,
  hostOf,
  indexKeys,
  isBound,
  isGatewayPort,
  isRouterInterface,
  sortedById,
} from './compiler-tables.ts';
export {
  type ComputedHeader,
  type ComputedItem,
  type Kind,
  type KindItems,
  type NodeKey,
  type NodeKind,
  sourceKeysOf,
} from './kind.ts';
export { vifKind } from './kinds/host.ts';
export { letThrough, otherSide, type PeeringReader, type TakenSubnet, takenBy } from './kinds/peerings.ts';
export { inVpcOf, isInSubnet, isSamePod } from './kinds/private-subnets.ts';
export { knowsPseudowires } from './kinds/pseudowires.ts';
export { type ScopeReader, translates } from './kinds/scopes.ts';
export { isSent, KINDS, splitKey } from './kinds.ts';
export { protocolNumber } from './protocol.ts';
export { Reader } from './reader.ts';
export { type TouchedReads, touchedReads } from './touched.ts';
