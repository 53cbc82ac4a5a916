export { type CableAccess, openCableAccess } from './cable-access.ts';
export type { ControllerDeps, ControllerOptions } from './controller.ts';
export { runController } from './controller.ts';
export { customDefinitions, customKinds } from './custom/kinds.ts';
export { manifestObjects } from './manifests.ts';
