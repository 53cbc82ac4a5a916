import type { ExtensionDeclaration } from '@cable/model';

/** One entry of `/v2.0/extensions`. */
export type Extension = {
  readonly alias: string;
  readonly name: string;
  readonly description: string;
  readonly updated: string;
  readonly links: readonly never[];
};

/** The list of those that are loaded. Clients branch on it: it names nothing else. */
export function extensionsOf(loaded: readonly ExtensionDeclaration[]): readonly Extension[] {
  return loaded.map(({ alias, name, description, updated }) => ({ alias, name, description, updated, links: [] }));
}
