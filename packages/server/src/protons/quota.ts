/** How many objects of a proton projects may have. */
import type { Attributes } from '@cable/api';
import { type AnyObject, CableError } from '@cable/model';
import type { Asked, EngineDeps } from '../engine/context.ts';
import { PROTON } from '../engine/fences.ts';
import { showOne } from '../engine/read.ts';
import { readerOf } from '../engine/reader.ts';
import { refuseChanging, writeRow } from './change.ts';
import { type ProtonRow, protonRow } from './proton-row.ts';

/** Projects that may have limits of their own. */
const PROJECTS_MAX = 5000;

/** `PUT /cable/v1/protons/{name}/quota`. */
export async function setQuotaOf(deps: EngineDeps, id: string, body: Attributes, asked: Asked): Promise<unknown> {
  const {
    object = '',
    quota: limit = -1,
    project_id: projectId,
  } = body as {
    readonly object?: string;
    readonly quota?: number;
    readonly project_id?: string;
  };
  const before = protonRow(deps.tables.any(PROTON).get(id) as AnyObject);
  refuseChanging(deps, before);
  const type = typeNamed(deps, before, object);
  const all = before.project_quotas as Readonly<Record<string, Readonly<Record<string, number>>>>;
  const next =
    projectId === undefined
      ? { ...before, quotas: { ...before.quotas, [type]: limit } }
      : { ...before, project_quotas: { ...all, [projectId]: { ...all[projectId], [type]: limit } } };
  if (Object.keys(next.project_quotas).length > PROJECTS_MAX) {
    throw new CableError('HTTPConflict', `${PROJECTS_MAX} projects have limits of their own.`);
  }
  await writeRow(deps, asked, before, next);
  return showOne(deps, deps.resources.named(PROTON), id, readerOf(deps, asked.credentials));
}

function typeNamed({ resources }: EngineDeps, { name }: ProtonRow, object: string): string {
  const models = resources.current.typesOf(name).map((type) => resources.named(type));
  const nounOf = (command = ''): string => command.split(' ').at(-1) ?? '';
  const found = models.find(({ type, plural, label, command }) =>
    [type, plural, label, nounOf(command)].includes(object),
  );
  if (found !== undefined) return found.type;
  const words = models.map(({ command }) => nounOf(command)).join(', ');
  throw new CableError(
    'HTTPBadRequest',
    `Invalid input for object. Reason: ${name} has no ${object}: it has ${words}.`,
  );
}
