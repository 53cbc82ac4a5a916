export { openCableAccess } from './cable-access.ts';
export type { ControllerDeps, ControllerOptions } from './controller.ts';
export { runController } from './controller.ts';
