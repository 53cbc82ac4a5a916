export { BUILT_IN_IMPORTS } from './base.ts';
export { compileObject, type ObjectCheck, type ValueProblem, type Values } from './check.ts';
export {
  type Correspondence,
  conversionOf,
  convertBackward,
  convertForward,
  correspondences,
  type Row,
} from './convert.ts';
export * from './declare.ts';
export * from './diff-stub.ts';
export { decamelised } from './links.ts';
export * from './model.ts';
export { type ReadAnswer, type ReadOptions, readModel } from './read.ts';
