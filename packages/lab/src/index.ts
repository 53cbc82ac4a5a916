/** The parts of the lab that the benchmarks build their beds from. */
export { startAgent } from './agent.ts';
export { askAgent } from './agent-socket.ts';
export type { ControlPlane } from './control-plane.ts';
export { startControlPlane } from './control-plane.ts';
export type { PodOptions } from './guests/pod.ts';
export { startPod } from './guests/pod.ts';
export { giveJoinToken } from './joining.ts';
export type { Ledger } from './ledger.ts';
export { createLedger } from './ledger.ts';
export type { LabHost, LabNames } from './names.ts';
export { agentPaths, labHost, labNames, REPOSITORY } from './names.ts';
export type { Processes } from './processes.ts';
export { createProcesses } from './processes.ts';
export type { Restartable } from './restartable.ts';
export { tearDown } from './teardown.ts';
export { createTopology } from './topology.ts';
export type { StoreKind } from './world.ts';
