import type { AnyObject, RouterEgress } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import { egressWaitsFor } from './snat-senders.ts';

/** Whether egress addresses are in force: by what hosts and rows are now. */
export const routerEgressStatusModule: Contribution<AnyObject> = contribute<RouterEgress>({
  present: (tables, { router_id: routerId }) => {
    const router = tables.of('router').get(routerId);
    const waitsFor = router === undefined ? 'its router' : egressWaitsFor(tables, router);
    return { status: waitsFor === '' ? 'ACTIVE' : 'DOWN', waits_for: waitsFor };
  },
});
