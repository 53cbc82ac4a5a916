import type { ProtonModel } from './model.ts';
export type ModelChange = {
  readonly who: 'readers' | 'writers' | 'stored';
  readonly breaking: boolean;
  readonly text: string;
};
export function diffModels(_a: ProtonModel, _b: ProtonModel): readonly ModelChange[] {
  return [];
}
