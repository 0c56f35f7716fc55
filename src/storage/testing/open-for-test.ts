import { openStorage, type Storage } from '../open-storage.ts';

/** Opens a data directory. A failure of the disk is thrown. */
export function openForTest(dataDirectory: string): Promise<Storage> {
  return openStorage({
    dataDirectory,
    newMetadata: () => Buffer.from('metadata'),
    onFailure: (error) => {
      throw error;
    },
  });
}
