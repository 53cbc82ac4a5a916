/** Models for tests. */
import { readdirSync, readFileSync } from 'node:fs';
import type { ModelFile, ModelProblem, ProtonModel, ProtonObject } from '../model.ts';
import { readModel } from '../read.ts';

const MODELS = new URL('../../models/', import.meta.url);

/** Files of a sample. */
export function sampleFiles(name: string): readonly ModelFile[] {
  const directory = new URL(`${name}/`, MODELS);
  return readdirSync(directory).map((file) => ({ name: file, text: readFileSync(new URL(file, directory), 'utf8') }));
}

export function sampleNames(): readonly string[] {
  return readdirSync(MODELS);
}

/** The model of a text, or of files; throws with its problems. */
export function modelOf(files: string | readonly ModelFile[]): ProtonModel {
  const answer = readModel(typeof files === 'string' ? [{ name: 'm.yaml', text: files }] : files);
  if ('model' in answer) return answer.model;
  throw new Error(answer.problems.map(problemLine).join('\n'));
}

/** `line:column: text` of each problem of a text. */
export function problemsOf(text: string): readonly string[] {
  const answer = readModel([{ name: 'm.yaml', text }]);
  return 'model' in answer ? [] : answer.problems.map(problemLine);
}

export function problemLine({ line, column, text }: ModelProblem): string {
  return `${line}:${column}: ${text}`;
}

export function objectOf(model: ProtonModel, name: string): ProtonObject {
  const object = model.objects.find((one) => one.name === name);
  if (object === undefined) throw new Error(`there is no ${name}`);
  return object;
}

/** A small model of format 1.0: `replace` puts the second text for the first, once. */
export function small1(...replace: readonly (readonly [string, string])[]): string {
  return replaced(SMALL_1, replace);
}

export function small2(...replace: readonly (readonly [string, string])[]): string {
  return replaced(SMALL_2, replace);
}

function replaced(text: string, replace: readonly (readonly [string, string])[]): string {
  return replace.reduce((before, [old, by]) => {
    if (!before.includes(old)) throw new Error(`there is no ${old}`);
    return before.replace(old, () => by);
  }, text);
}

const SMALL_1 = `file_version: "1.0"
imports: base/base.yaml
info: { name: net-l2seg, version: 1.0, description: Plain segment }
objects:
  Port:
    api: { name: port, plural_name: ports }
    extends: BasePort
  Interface:
    api: { name: interface, parent: Port, parent_key: port_id }
    extends: BaseInterface
    attributes:
      port_id: { type: Port }
  Segment:
    api: { name: segment }
    extends: BaseService
    attributes:
      vni: { type: integer, min: 1, max: 16777215 }
  SegmentBinding:
    api: { name: segmentbinding }
    extends: BaseServiceBinding
    attributes:
      service_id: { type: Segment }
      interface_id: { type: Interface }
`;

const SMALL_2 = `file_version: "2.0"
imports: base/v2.yaml
info: { name: net-l2seg, version: "2.0", description: Plain segment }
$defs:
  Vni: { type: integer, minimum: 1, maximum: 16777215 }
objects:
  Segment:
    api: { name: segment, print_columns: [id, vni] }
    extends: BaseService
    attributes:
      vni: { $ref: "#/$defs/Vni", required: true, unique: global, immutable: true }
      low: { type: integer, default: 0 }
      high: { type: integer, default: 10 }
      tags: { type: array, items: { type: string, pattern: "^[a-z]+$" }, maxItems: 8, default: [] }
      peer_id: { ref: { object: Segment, onDelete: setNull } }
    rules:
      - { rule: low <= high, message: low is above high }
    unique: [[project_id, name]]
    indexes: [[low, high]]
    examples:
      - { vni: 7, tags: [a] }
`;
