export type { CliDeps } from './context.ts';
export { runCommandLine } from './program.ts';
