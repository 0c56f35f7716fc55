import { Agent, type AgentOptions } from 'node:http';
import { Agent as SecureAgent } from 'node:https';

/** Keeps connections to other members for further requests, for HTTP and HTTPS. */
export class RequestAgents {
  readonly #options: AgentOptions;
  #http: Agent | undefined;
  #https: SecureAgent | undefined;

  constructor(options: AgentOptions) {
    this.#options = { keepAlive: true, ...options };
  }

  get http(): Agent {
    this.#http ??= new Agent(this.#options);
    return this.#http;
  }

  get https(): SecureAgent {
    this.#https ??= new SecureAgent(this.#options);
    return this.#https;
  }

  destroy(): void {
    this.#http?.destroy();
    this.#https?.destroy();
  }
}
