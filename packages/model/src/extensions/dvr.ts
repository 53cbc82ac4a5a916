/** By which host floating IPs are reached. */
export const dvrExtension = {
  alias: 'dvr',
  name: 'Distributed Virtual Router',
  description: 'Whether floating IPs are reached by the hosts of their ports.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['router'],
  attributes: {
    router: {
      distributed: {
        type: 'boolean',
        write: 'both',
        writeBy: 'admin',
        ruleOfDefault: true,
        seeBy: 'admin',
        nullAsAbsent: true,
        description:
          'True, the default: a floating IP is answered for by the host of its port where that is on the physical network. False: all by the host of the gateway. Between subnets every host routes, whatever it says. Changed while admin_state_up is false.',
      },
    },
  },
} as const;

/** `distributed` is changed by a request of its own. */
export const routerAdminStateDownBeforeUpdateExtension = {
  alias: 'router-admin-state-down-before-update',
  name: "Enforce Router's Admin State Down Before Update Extension",
  description: 'admin_state_up of a router is false before distributed is changed, and stays false with it.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['dvr'],
} as const;
