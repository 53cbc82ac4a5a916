/** What can be generated of a model, by the word of `cable proton gen`. */
import type { ProtonModel } from '../model.ts';
import { formsOf } from './form.ts';
import { markdownText } from './markdown.ts';
import { clientText, typesText } from './typescript.ts';
import { vectorsOf } from './vectors.ts';

export const GENERATORS: Readonly<
  Record<'types' | 'client' | 'docs' | 'form' | 'vectors', (model: ProtonModel) => string>
> = {
  types: typesText,
  client: clientText,
  docs: markdownText,
  form: (model) => `${JSON.stringify(formsOf(model), null, 2)}\n`,
  vectors: (model) => `${JSON.stringify(vectorsOf(model), null, 2)}\n`,
};
