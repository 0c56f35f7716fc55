/**
 * Fuzzes the parsers of HTTP/2 frames, HPACK and gRPC messages. Finds crashes (any exception that is not a refusal),
 * hangs (a round that takes too long) and memory leaks.
 *
 *     node --expose-gc --import tsx scripts/fuzz-http2.ts [seconds] [first seed]
 *
 * A finding is printed with its seed. Use it as first seed to repeat the finding.
 */
import { SeededRandom } from '../src/lib/seeded-random.ts';
import { fuzzRound } from '../src/grpc/fuzz.ts';

const HANG_MS = 2_000;
const GROWTH_BYTES = 64 * 1024 * 1024;
const REPORT_MS = 10_000;

const seconds = Number(process.argv[2] ?? 60);
const firstSeed = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 31));

function liveBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function fail(seed: number, what: string): never {
  console.error(`seed ${seed}: ${what}`);
  process.exit(1);
}

let seed = firstSeed;
process.on('uncaughtException', (error) => fail(seed, error.stack ?? error.message));

const end = Date.now() + seconds * 1000;
let baseline: number | undefined;
let nextReport = Date.now() + Math.min(REPORT_MS, (seconds * 1000) / 4);
console.log(`fuzzing for ${seconds} s from seed ${firstSeed}`);
for (; Date.now() < end; seed++) {
  const started = Date.now();
  try {
    await fuzzRound(new SeededRandom(seed));
  } catch (error) {
    fail(seed, error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const took = Date.now() - started;
  if (took > HANG_MS) fail(seed, `a round took ${took} ms`);
  if (Date.now() < nextReport) continue;
  nextReport = Date.now() + REPORT_MS;
  const live = liveBytes();
  baseline ??= live;
  console.log(`${seed - firstSeed + 1} rounds, ${(live / 1e6).toFixed(1)} MB live`);
  if (live - baseline > GROWTH_BYTES) fail(seed, `memory grew from ${baseline} to ${live} bytes`);
}
console.log(`${seed - firstSeed} rounds, nothing found`);
process.exit(0);
