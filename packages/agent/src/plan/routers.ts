import { type Family, headerFamily } from './unit.ts';

/** A router: one that is administratively down routes nothing, and its addresses answer as a gateway without router. */
export const ROUTERS: Family = headerFamily(
  { name: 'router', slice: 'router', subject: 'host' },
  ({ scope }, { adminStateUp }) => ({
    facts: adminStateUp ? [{ topic: 'router', key: scope, member: '', value: null }] : [],
  }),
);
