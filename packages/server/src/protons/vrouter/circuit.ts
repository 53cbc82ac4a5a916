/** Lines between two ports, as pseudowires (docs/design/proton-backends.md). */
import type { DeclaredObject } from '@cable/proton';
import { objectWith, refsTo } from './shape.ts';

/** What a model lacks for lines. */
export function circuitProblems(declared: readonly DeclaredObject[]): readonly string[] {
  const port = objectWith(declared, 'port');
  const line = objectWith(declared, 'service', 'admitted_kbps', 'guaranteed_kbps');
  if (port === undefined) return ['no object is a port'];
  if (line === undefined) return ['no service has admitted_kbps and guaranteed_kbps'];
  return refsTo(line, port).length === 2 ? [] : [`${line.object.name} does not refer to two ports`];
}
