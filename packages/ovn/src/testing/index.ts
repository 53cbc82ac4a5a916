export * from './objects.ts';
export { SCHEMAS, startOvsdbServer, type TestServer, type TestServerOptions } from './ovsdb-server.ts';
export { until } from './until.ts';
