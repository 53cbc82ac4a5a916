/**
 * Controllers of Kubernetes clusters: each is known as its cluster's, and acts as one of the cluster's projects with each request (`X-Project-Id`), as a member
 * there. `Cable-Epoch` says with which epoch it has claimed the cluster: what it writes is refused once another one has.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { CableError, namespaceProject } from '@cable/model';
import type { UserCaller } from '../http/auth.ts';
import type { Tables } from '../tables.ts';

/** More than a cluster has namespaces. */
const CALLERS_KEPT = 20_000;

const ROLES: readonly string[] = ['member', 'reader', 'kubernetes'];

/** Remembers callers, since what the rules come to is kept with them. */
export class ControllerCallers {
  readonly #known = new Map<string, UserCaller>();

  /** Throws `HTTPForbidden` for a project that is not the cluster's, `HTTPBadRequest` for an epoch that is none. */
  byCertificate(tables: Pick<Tables, 'of'>, cluster: string, headers: IncomingHttpHeaders): UserCaller {
    const project = headerOf(headers, 'x-project-id') ?? namespaceProject(cluster, '');
    if (!isProjectOf(tables, cluster, project)) {
      throw new CableError('HTTPForbidden', `Project ${project} is none of cluster ${cluster}.`, {
        detail: `Its own begin with "${namespaceProject(cluster, '')}"; others are in namespace_projects of the cluster.`,
      });
    }
    const epoch = epochOf(headers);
    const key = `${cluster}\n${epoch}\n${project}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const caller = { ...controllerCaller(cluster, project, epoch), byCertificate: true };
    if (this.#known.size >= CALLERS_KEPT) this.#known.clear();
    this.#known.set(key, caller);
    return caller;
  }
}

function isProjectOf(tables: Pick<Tables, 'of'>, cluster: string, project: string): boolean {
  if (project.startsWith(namespaceProject(cluster, ''))) return true;
  const row = tables.of('kubernetes_cluster').get(cluster);
  return row?.namespace_projects.some((one) => one.project_id === project) ?? false;
}

/** The controller of a cluster as one of its projects; undefined: the cluster's own. */
export function controllerCaller(cluster: string, project: string | undefined, epoch: number | null): UserCaller {
  const isOwn = project === undefined || project === namespaceProject(cluster, '');
  return {
    kind: 'user',
    credentials: {
      userId: `cluster:${cluster}`,
      projectId: project ?? namespaceProject(cluster, ''),
      ...{ domainId: null, userDomainId: null, projectDomainId: null, systemScope: null },
      roles: ROLES,
      controller: { cluster, epoch },
      // As the cluster’s own project it sees what it has made in all of them; as a namespace’s no more than the namespace may.
      others: { cluster, ...(isOwn ? { whole_cluster: cluster } : {}) },
    },
    projectGiven: project !== undefined,
  };
}

/** What `Cable-Epoch` says; null: nothing. Throws `HTTPBadRequest`. */
export function epochOf(headers: IncomingHttpHeaders): number | null {
  const text = headerOf(headers, 'cable-epoch');
  if (text === undefined) return null;
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new CableError(
    'HTTPBadRequest',
    'Invalid value for Cable-Epoch: give the epoch with which the cluster was claimed.',
  );
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  const text = Array.isArray(value) ? value[0] : value;
  return text === undefined || text === '' ? undefined : text;
}
