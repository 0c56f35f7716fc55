import type { PlantedBug } from './planted-bug.ts';

/** Sometimes a value in a store changes, as by a faulty disk or memory. The corruption checker must detect it. */
export const damagesStore: PlantedBug = {
  name: 'damaged store',
  mustAlarm: true,
  tamperWith: (random) => (operations) =>
    operations.map((operation) => {
      const { column, value } = operation;
      if (column !== 'event' || value === undefined || !random.chance(0.02)) return operation;
      const damaged = Buffer.from(value);
      damaged[damaged.length - 1] = (damaged[damaged.length - 1] ?? 0) ^ 1;
      return { ...operation, value: damaged };
    }),
};

/** Members do not compare their stores, so they do not detect corruption. */
export const comparesNoHashes: PlantedBug = {
  ...damagesStore,
  name: 'no corruption check',
  disables: ({ periodicTasks }) => periodicTasks.corruption.stop(),
};

/** A member returns a wrong hash, so that intact stores seem to be corrupt. */
export const answersWrongHash: PlantedBug = {
  name: 'wrong hash',
  service: (service) => ({
    ...service,
    hashKv: async (revision) => {
      const answer = await service.hashKv(revision);
      return { ...answer, hash: answer.hash ^ 1 };
    },
  }),
};

export const compactsNothing: PlantedBug = {
  name: 'no auto compaction',
  disables: ({ periodicTasks }) => periodicTasks.compaction?.stop(),
};

export const promotesNobody: PlantedBug = {
  name: 'no promotion',
  disables: ({ periodicTasks }) => periodicTasks.promoter?.stop(),
};

export const decidesNoVersion: PlantedBug = {
  name: 'no cluster version',
  disables: ({ periodicTasks }) => periodicTasks.versions.stop(),
};

export const expiresNoLease: PlantedBug = {
  name: 'no lease expiry',
  disables: ({ periodicTasks }) => periodicTasks.leases.stop(),
};

/** Leases expire too early. */
export const expiresEarly: PlantedBug = {
  name: 'leases expire early',
  clock: (clock) => ({ now: () => clock.now() * 2, wall: () => clock.wall() }),
};

/** The history is not read for watchers that are behind. */
export const pumpsNothing: PlantedBug = {
  name: 'no watch pump',
  disables: ({ pump }) => pump.stop(),
};

/** A pause between two deliveries never ends. */
export const pausesForever: PlantedBug = {
  name: 'endless watch pause',
  disables: ({ member }) => {
    member.hub.onPause = () => undefined;
  },
};

export const periodicTaskBugs: readonly PlantedBug[] = [
  comparesNoHashes,
  answersWrongHash,
  compactsNothing,
  promotesNobody,
  decidesNoVersion,
  expiresNoLease,
  expiresEarly,
  pumpsNothing,
  pausesForever,
];
