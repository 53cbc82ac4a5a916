/** What the host itself adds to the slices: facts that only this machine knows. */
export type LocalState = {
  /** This host's name, as in `host:<name>` and in endpoints. */
  readonly host: string;
  /** Service address slot of each port that has a device, by port id. */
  readonly slots: ReadonlyMap<string, number>;
  /** The VIF's network device, by port id. A port without one is not programmed. */
  readonly devices: ReadonlyMap<string, LocalDevice>;
};

export type LocalDevice = { readonly name: string; readonly ifindex: number };
