import { expect, it } from 'vitest';
import { Member, serverUnderTest } from '../harness/member.ts';
import { missingPeers } from '../harness/paths.ts';
import { TestCluster } from './test-cluster.ts';

const missing = missingPeers('etcdctl');
const KEYS = 50;

it.skipIf(missing !== undefined)(
  `a member goes on alone with --force-new-cluster when the others are lost, and takes in new ones ${missing ?? ''}`,
  async () => {
    const cluster = await TestCluster.create([serverUnderTest, serverUnderTest, serverUnderTest]);
    const survivors: Member[] = [];
    try {
      for (let key = 0; key < KEYS; key += 1) await cluster.ctl().ok(['put', `key/${key}`, `value ${key}`]);
      const [before] = await cluster.settled();
      const [first] = cluster.members;
      if (first === undefined) throw new Error('there is a first member');
      for (const member of cluster.members) await member.kill();

      const { name, clientPort, peerPort, dataDir, kind } = first;
      const places = { kind, name, clientPort, peerPort, dataDir };
      const forced = await Member.start({ ...places, flags: ['--force-new-cluster'] });
      survivors.push(forced);
      const ctl = cluster.ctl(forced);
      const members = (await ctl.ok(['member', 'list'])).trim().split('\n');
      expect(members).toHaveLength(1);
      expect(members[0]).toContain(`${name}, http://127.0.0.1:${peerPort}`);
      expect((await ctl.ok(['endpoint', 'hashkv'])).trim().split(', ').slice(1).join(', ')).toBe(before);
      expect(await ctl.ok(['get', '--prefix', 'key/', '--count-only', '-w', 'fields'])).toContain(
        `"Count" : ${KEYS}`,
      );

      // It stays alone without the flag, and a new member joins it.
      await forced.stop();
      const alone = await Member.start(places);
      survivors.push(alone);
      await ctl.ok(['put', 'key/after', 'value']);
      cluster.members.splice(0, cluster.members.length, alone);
      const joined = await cluster.addLearner(serverUnderTest, 'joined');
      await cluster.promote(joined);
      await cluster.settled();
      expect(await cluster.ctl(joined).ok(['get', 'key/after', '--print-value-only'])).toBe('value\n');
    } finally {
      await Promise.all(survivors.map((member) => member.destroy()));
      await cluster.destroy();
    }
  },
);
