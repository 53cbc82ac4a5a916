import type { Client } from '@cable/api';
import type { RouterView, SecurityGroupView } from '@cable/model';
import type { Segment } from './cloud.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Guest } from './guests/guest.ts';
import type { Pod } from './guests/pod.ts';
import type { QemuGuest } from './guests/qemu.ts';
import type { Ledger } from './ledger.ts';
import type { LabHost, LabNames } from './names.ts';
import type { Processes } from './processes.ts';
import type { Restartable } from './restartable.ts';
import type { World } from './world.ts';

/** A host of a lab that is up. */
export type RunningHost = LabHost & {
  /** Undefined: one that poses as another; a check starts it. */
  readonly agent: Restartable | undefined;
};

/** A world that has been built. Its parts have the names that the story gave them. */
export type Lab<W extends World = World> = {
  readonly names: LabNames;
  readonly processes: Processes;
  readonly ledger: Ledger;
  readonly control: ControlPlane;
  readonly hosts: Named<W, 'hosts', RunningHost>;
  /** A client of the API for each project. */
  readonly tenants: Readonly<Record<W['projects'][number], Client>>;
  readonly networks: Named<W, 'networks', Segment>;
  readonly routers: Named<W, 'routers', RouterView>;
  readonly groups: Named<W, 'groups', SecurityGroupView>;
  readonly guests: Named<W, 'guests', Guest>;
  /** Each resolves when it has booted; undefined: left out. */
  readonly realMachines: Partial<Named<W, 'realMachines', Promise<QemuGuest>>>;
  /** Pods that checks have made, by name. */
  readonly added: Map<string, Pod>;
  readonly settings: Named<W, 'settings', number>;
  /** Of the agents; undefined: their default. */
  readonly encapsulation: string | undefined;
  readonly say: (line: string) => void;
};

type Named<W, Part extends string, T> = Readonly<Record<KeysOf<W, Part>, T>>;

type KeysOf<W, Part extends string> = W extends { readonly [P in Part]: infer T } ? keyof T & string : string;
