export type * from './slices.ts';
