import { type Family, headerFamily } from './unit.ts';

/** A network: what its endpoints need of it, so that another subnet does not concern all of them. */
export const NETWORKS: Family = headerFamily(
  { name: 'network', slice: 'network', subject: 'host' },
  ({ scope }, { vni, projectId }) => ({
    facts: [{ topic: 'network', key: scope, member: '', value: { vni, projectId } }],
  }),
);
