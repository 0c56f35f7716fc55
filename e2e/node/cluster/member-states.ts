import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContextOptions } from 'node:tls';
import { MemberListRequest, MemberListResponse } from '../../../src/wire/gen/etcdserverpb.ts';
import { Cluster } from '../../../src/wire/services.ts';
import { LoadClient } from '../../harness/load-client.ts';

const EVERY_MS = 20;

/**
 * Lists the members again and again, and keeps each list that differs from the one before. A list has the ordinals of the
 * members, with `learner` after those of learners, for example `0 1 2 3learner`.
 */
export class MemberStates {
  readonly #client: LoadClient;
  readonly #states: string[] = [];
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(endpoint: string, tls: () => SecureContextOptions) {
    this.#client = new LoadClient(endpoint, { timeoutMs: 5_000, tls });
    this.#done = this.#run();
  }

  async stop(): Promise<readonly string[]> {
    this.#stopped = true;
    await this.#done;
    this.#client.close();
    return this.#states;
  }

  async #run(): Promise<void> {
    const request = MemberListRequest.encode(MemberListRequest.create({ linearizable: true }));
    while (!this.#stopped) {
      const answer = await this.#client.call(Cluster.methods.memberList.path, request);
      if ('message' in answer) {
        const { members } = MemberListResponse.decode(answer.message);
        const state = members
          .map(({ peerUrls: [url = ''], isLearner }) => ordinalOf(url) + (isLearner ? 'learner' : ''))
          .toSorted()
          .join(' ');
        if (state !== this.#states.at(-1)) this.#states.push(state);
      } else this.#client.close();
      await sleep(EVERY_MS);
    }
  }
}

function ordinalOf(peerUrl: string): string {
  return /-(\d+)\./.exec(peerUrl)?.[1] ?? peerUrl;
}
