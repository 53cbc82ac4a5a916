/** Whether the gateway of a router has standbys. */
export const l3HaExtension = {
  alias: 'l3-ha',
  name: 'HA Router extension',
  description: 'Standbys of the gateways of routers.',
  updated: '2026-11-28T00:00:00-00:00',
  requires: ['router'],
  attributes: {
    router: {
      ha: {
        ruleOfDefault: true,
        type: 'boolean',
        write: 'both',
        writeBy: 'admin',
        seeBy: 'admin',
        nullAsAbsent: true,
        description:
          'True, the default: the gateway has standbys, of which one takes its place within some two seconds when its host dies, and connections go on. False: it has none, and moves to another host when the server has not heard its host for 30 s. Changed while admin_state_up is false.',
      },
    },
  },
} as const;
