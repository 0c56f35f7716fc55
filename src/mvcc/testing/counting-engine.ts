import { MemoryEngine } from '../../storage/memory-engine.ts';

/** An engine that counts the rows it returns. */
export class CountingEngine extends MemoryEngine {
  rows = 0;

  override getMany(...args: Parameters<MemoryEngine['getMany']>): ReturnType<MemoryEngine['getMany']> {
    const found = super.getMany(...args);
    this.rows += found.length;
    return found;
  }

  override iterate(...args: Parameters<MemoryEngine['iterate']>): ReturnType<MemoryEngine['iterate']> {
    const rows = super.iterate(...args);
    return {
      next: (count) => {
        const found = rows.next(count);
        this.rows += found.length / 2;
        return found;
      },
      close: () => rows.close(),
    };
  }
}
