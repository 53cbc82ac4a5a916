export { affectedHosts, affectedSlices, computeSlice, reachableSlices, splitKey } from './graph.ts';
export { groupSlice } from './group.ts';
export { hostSlice, vifKind } from './host.ts';
export { networkSlice } from './network.ts';
export { policySlice } from './policy.ts';
export { protocolNumber } from './protocol.ts';
export { routerSlice } from './router.ts';
export type {
  CompilerTables,
  HostRow,
  NetworkRow,
  PortRow,
  RouterRow,
  RowChange,
  Rows,
  RowType,
  SecurityGroupRuleRow,
  SubnetRow,
  TableChange,
} from './tables.ts';
export { hostOf, isBound, isRouterInterface } from './tables.ts';
