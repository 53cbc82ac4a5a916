import type { Story } from '../story.ts';
import { BURST } from './burst.ts';
import { DEMO } from './demo/demo.ts';
import { FAULTS } from './faults.ts';
import { FLOW_EXPORT } from './flow-export.ts';
import { GUEST_SERVICES } from './guest-services/guest-services.ts';
import { IPV6 } from './ipv6.ts';
import { JOINING } from './joining.ts';
import { L2 } from './l2.ts';
import { LIVE } from './live.ts';
import { LIVE_MIGRATION } from './live-migration.ts';
import { LOAD_BALANCER } from './load-balancer.ts';
import { LOAD_BALANCER_HEALTH } from './load-balancer-health.ts';
import { MANY } from './many/many.ts';
import { MIRROR } from './mirror.ts';
import { PAIR } from './pair.ts';
import { POLICY_ROUTES } from './policy-routes.ts';
import { QOS } from './qos.ts';
import { RENAMED_HOST } from './renamed-host.ts';
import { RESTORED_STORE } from './restored-store.ts';
import { ROUTER_PEERING } from './router-peering.ts';
import { SERVERS } from './servers.ts';
import { SERVICES } from './services.ts';
import { STORE_GUARD } from './store-guard.ts';
import { TRUNK } from './trunk.ts';
import { TWO_MACHINES_ONE_NAME } from './two-machines-one-name.ts';
import { UNDERLAY_CHANGE } from './underlay-change.ts';

/** Every story; the first is the one that runs unless another is named. */
export const STORIES: readonly [Story, ...Story[]] = [
  DEMO,
  PAIR,
  GUEST_SERVICES,
  IPV6,
  LOAD_BALANCER,
  LOAD_BALANCER_HEALTH,
  QOS,
  MIRROR,
  POLICY_ROUTES,
  ROUTER_PEERING,
  SERVICES,
  FLOW_EXPORT,
  TRUNK,
  MANY,
  LIVE_MIGRATION,
  L2,
  FAULTS,
  LIVE,
  BURST,
  JOINING,
  UNDERLAY_CHANGE,
  TWO_MACHINES_ONE_NAME,
  RENAMED_HOST,
  SERVERS,
  RESTORED_STORE,
  STORE_GUARD,
];
