export { BUILT_IN_IMPORTS } from './base.ts';
export { compileObject, type ObjectCheck, type ValueProblem, type Values } from './check.ts';
export {
  type Correspondence,
  conversionOf,
  convertBackward,
  convertForward,
  correspondences,
  newNames,
  oldNames,
  type Row,
} from './convert.ts';
export * from './declare.ts';
export { type Concerned, diffModels, type ModelChange } from './diff.ts';
export { type Form, formsOf } from './gen/form.ts';
export { GENERATORS } from './gen/gen.ts';
export { markdownText } from './gen/markdown.ts';
export { clientText, typesText } from './gen/typescript.ts';
export { type Vector, vectorsOf } from './gen/vectors.ts';
export { decamelised } from './links.ts';
export { diffLines, type LintAnswer, lintFiles, problemText } from './lint.ts';
export * from './model.ts';
export { type ReadAnswer, type ReadOptions, readModel } from './read.ts';
