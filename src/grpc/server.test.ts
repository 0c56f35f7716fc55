import { grpcServerCases } from './server.cases.ts';
import { TestServer } from './test-server.ts';

grpcServerCases((options) => new TestServer(options).start());
