export { sourceProgram } from './source-program.ts';
export { ofAll } from './whole-run.ts';
